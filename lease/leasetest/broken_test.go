package leasetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/memlease"
)

var errBroken = errors.New("broken on purpose")

// faulty is a store whose methods may be replaced.
type faulty struct {
	*memlease.Store
	setup  func(context.Context) error
	get    func(context.Context, []string) ([]lease.Row, error)
	list   func(context.Context, string, string) iter.Seq2[lease.Row, error]
	put    func(context.Context, []lease.Row) []error
	remove func(context.Context, []lease.Row) []error
}

func (f *faulty) Setup(ctx context.Context) error {
	if f.setup != nil {
		return f.setup(ctx)
	}
	return f.Store.Setup(ctx)
}

func (f *faulty) Get(ctx context.Context, keys []string) ([]lease.Row, error) {
	if f.get != nil {
		return f.get(ctx, keys)
	}
	return f.Store.Get(ctx, keys)
}

func (f *faulty) List(ctx context.Context, group, after string) iter.Seq2[lease.Row, error] {
	if f.list != nil {
		return f.list(ctx, group, after)
	}
	return f.Store.List(ctx, group, after)
}

func (f *faulty) Put(ctx context.Context, rows []lease.Row) []error {
	if f.put != nil {
		return f.put(ctx, rows)
	}
	return f.Store.Put(ctx, rows)
}

func (f *faulty) Delete(ctx context.Context, rows []lease.Row) []error {
	if f.remove != nil {
		return f.remove(ctx, rows)
	}
	return f.Store.Delete(ctx, rows)
}

// current gives rows the versions that are stored.
func current(s *memlease.Store, rows []lease.Row) []lease.Row {
	stored, _ := s.Get(context.Background(), keysOf(rows))
	rows = slices.Clone(rows)
	for i := range rows {
		rows[i].Version = stored[i].Version
	}
	return rows
}

// checkThenWrite compares versions and writes later, as a store does that reads and then writes without a condition.
func checkThenWrite(s *memlease.Store, write func(context.Context, []lease.Row) []error) func(context.Context, []lease.Row) []error {
	return func(ctx context.Context, rows []lease.Row) []error {
		for i, row := range current(s, rows) {
			if row.Version != rows[i].Version {
				return []error{lease.ErrConflict}
			}
		}
		if err := backoff.Wait(ctx, time.Millisecond); err != nil {
			return []error{err}
		}
		return write(ctx, current(s, rows))
	}
}

// each changes the rows that a listing yields; keep is false for those that it leaves out.
func each(seq iter.Seq2[lease.Row, error], change func(*lease.Row) (keep bool)) iter.Seq2[lease.Row, error] {
	return func(yield func(lease.Row, error) bool) {
		for row, err := range seq {
			if err == nil && !change(&row) {
				continue
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

// matching lists every row that was ever written and whose group and name match.
func matching(f *faulty, match func(key, group string) bool) *faulty {
	var mu sync.Mutex
	groups := map[string]bool{}
	f.put = func(ctx context.Context, rows []lease.Row) []error {
		mu.Lock()
		for _, row := range rows {
			groups[row.Key[:strings.LastIndexByte(row.Key, '/')+1]] = true
		}
		mu.Unlock()
		return f.Store.Put(ctx, rows)
	}
	f.list = func(ctx context.Context, group, after string) iter.Seq2[lease.Row, error] {
		return func(yield func(lease.Row, error) bool) {
			for g := range groups {
				for row, err := range f.Store.List(ctx, g, after) {
					if match(row.Key, group) && !yield(row, err) {
						return
					}
				}
			}
		}
	}
	return f
}

// broken are stores with one fault each, and the cases that must see it.
var broken = []struct {
	name     string
	caughtBy []string
	make     func(*memlease.Store) lease.Store
}{
	{"cannot be set up twice", []string{"setup by many at once and again"}, func(s *memlease.Store) lease.Store {
		var mu sync.Mutex
		exists := false
		return &faulty{Store: s, setup: func(context.Context) error {
			mu.Lock()
			defer mu.Unlock()
			if exists {
				return errBroken
			}
			exists = true
			return nil
		}}
	}},
	{"empties its storage at setup", []string{"setup by many at once and again"}, func(s *memlease.Store) lease.Store {
		f := &faulty{Store: s}
		f.put = func(ctx context.Context, rows []lease.Row) []error {
			f.setup = func(ctx context.Context) error { f.Store = memlease.New(); return nil }
			return f.Store.Put(ctx, rows)
		}
		return f
	}},
	{"ignores versions when it writes", []string{
		"a row is created once", "an update must name the stored version", "one of several writers wins each version",
		"rows written at once are independent",
	}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, put: func(ctx context.Context, rows []lease.Row) []error { return s.Put(ctx, current(s, rows)) }}
	}},
	{"updates a row from any lower version", []string{"an update must name the stored version"}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, put: func(ctx context.Context, rows []lease.Row) []error {
			for i, row := range current(s, rows) {
				if row.Version > 0 && rows[i].Version > row.Version {
					rows[i].Version = row.Version
				}
			}
			return s.Put(ctx, rows)
		}}
	}},
	{"ignores versions when it deletes", []string{
		"a delete must name the stored version", "rows deleted at once are independent",
	}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, remove: func(ctx context.Context, rows []lease.Row) []error { return s.Delete(ctx, current(s, rows)) }}
	}},
	{"goes on counting where a deleted row ended", []string{"a delete must name the stored version"}, func(s *memlease.Store) lease.Store {
		tombs := map[string]bool{}
		return &faulty{Store: s,
			remove: func(ctx context.Context, rows []lease.Row) []error {
				if errs := s.Delete(ctx, rows); errs != nil || rows[0].Version == 0 {
					return errs
				}
				tombs[rows[0].Key] = true
				return nil
			},
			put: func(ctx context.Context, rows []lease.Row) []error {
				if errs := s.Put(ctx, rows); errs != nil || !tombs[rows[0].Key] {
					return errs
				}
				rows[0].Version++
				return s.Put(ctx, rows)
			},
		}
	}},
	{"checks and then writes", []string{
		"one of several creators wins", "one of several writers wins each version",
	}, func(s *memlease.Store) lease.Store { return &faulty{Store: s, put: checkThenWrite(s, s.Put)} }},
	{"checks and then deletes", []string{"one of a writer and a remover wins"}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, remove: checkThenWrite(s, s.Delete)}
	}},
	{"fails every racer", []string{"one of several creators wins"}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, put: func(context.Context, []lease.Row) []error { return []error{lease.ErrConflict} }}
	}},
	{"tells a loser of something other than a conflict", []string{
		"one of several writers wins each version", "rows written at once are independent", "a row is created once",
	}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, put: func(ctx context.Context, rows []lease.Row) []error {
			errs := s.Put(ctx, rows)
			for i, err := range errs {
				if err != nil {
					errs[i] = errBroken
				}
			}
			return errs
		}}
	}},
	{"reads from a copy that is written later", []string{"a read sees every acknowledged write"}, func(s *memlease.Store) lease.Store {
		later := memlease.New()
		var last []lease.Row
		return &faulty{Store: s,
			put: func(ctx context.Context, rows []lease.Row) []error {
				errs := s.Put(ctx, rows)
				later.Put(ctx, last)
				last = rows
				return errs
			},
			get: later.Get,
		}
	}},
	{"reads rows in the order of their names", []string{"rows are read in the order of the keys"}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, get: func(ctx context.Context, keys []string) ([]lease.Row, error) {
			return s.Get(ctx, slices.Sorted(slices.Values(keys)))
		}}
	}},
	{"leaves absent rows out", []string{"rows are read in the order of the keys", "many rows are read at once"}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, get: func(ctx context.Context, keys []string) ([]lease.Row, error) {
			rows, err := s.Get(ctx, keys)
			return slices.DeleteFunc(rows, func(row lease.Row) bool { return row.Version == 0 }), err
		}}
	}},
	{"reads a key once that was asked for twice", []string{"rows are read in the order of the keys"}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, get: func(ctx context.Context, keys []string) ([]lease.Row, error) {
			seen := map[string]bool{}
			rows, err := s.Get(ctx, keys)
			for i, row := range rows {
				if seen[row.Key] {
					rows[i] = lease.Row{Key: row.Key}
				}
				seen[row.Key] = true
			}
			return rows, err
		}}
	}},
	{"does not tell upper from lower case", []string{"rows are read in the order of the keys"}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, get: func(ctx context.Context, keys []string) ([]lease.Row, error) {
			rows, err := s.Get(ctx, keys)
			for i, row := range rows {
				if row.Version == 0 {
					other, _ := s.Get(ctx, []string{strings.Replace(row.Key, "/A/", "/a/", 1)})
					rows[i] = other[0]
					rows[i].Key = row.Key
				}
			}
			return rows, err
		}, put: func(ctx context.Context, rows []lease.Row) []error {
			rows = slices.Clone(rows)
			for i := range rows {
				rows[i].Key = strings.Replace(rows[i].Key, "/A/", "/a/", 1)
			}
			return s.Put(ctx, rows)
		}}
	}},
	{"reads a hundred rows and no more", []string{"many rows are read at once"}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, get: func(ctx context.Context, keys []string) ([]lease.Row, error) {
			rows, err := s.Get(ctx, keys)
			for i := 100; i < len(rows); i++ {
				rows[i] = lease.Row{Key: keys[i]}
			}
			return rows, err
		}}
	}},
	{"tidies JSON up", []string{"values are kept byte for byte"}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, put: func(ctx context.Context, rows []lease.Row) []error {
			rows = slices.Clone(rows)
			for i, row := range rows {
				var tidy bytes.Buffer
				if err := json.Compact(&tidy, row.Value); err != nil {
					return []error{err}
				}
				rows[i].Value = tidy.Bytes()
			}
			return s.Put(ctx, rows)
		}}
	}},
	{"keeps the caller's buffer", []string{"values belong to the caller"}, func(s *memlease.Store) lease.Store {
		buffers := map[string][]byte{}
		return &faulty{Store: s,
			put: func(ctx context.Context, rows []lease.Row) []error {
				buffers[rows[0].Key] = rows[0].Value
				return s.Put(ctx, rows)
			},
			get: func(ctx context.Context, keys []string) ([]lease.Row, error) {
				rows, err := s.Get(ctx, keys)
				rows[0].Value = buffers[keys[0]]
				return rows, err
			},
		}
	}},
	{"hands out its own buffer", []string{"values belong to the caller"}, func(s *memlease.Store) lease.Store {
		cache := map[string]lease.Row{}
		return &faulty{Store: s, get: func(ctx context.Context, keys []string) ([]lease.Row, error) {
			if row, ok := cache[keys[0]]; ok {
				return []lease.Row{row}, nil
			}
			rows, err := s.Get(ctx, keys)
			cache[keys[0]] = rows[0]
			return rows, err
		}}
	}},
	{"cuts values at 256 KB", []string{"large values are kept and listed"}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, put: func(ctx context.Context, rows []lease.Row) []error {
			rows = slices.Clone(rows)
			for i, row := range rows {
				rows[i].Value = row.Value[:min(len(row.Value), 256*1024)]
			}
			return s.Put(ctx, rows)
		}}
	}},
	{"lists one page", []string{"large values are kept and listed"}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, list: func(ctx context.Context, group, after string) iter.Seq2[lease.Row, error] {
			size := 0
			return each(s.List(ctx, group, after), func(row *lease.Row) bool {
				size += len(row.Value)
				return size < 1<<20
			})
		}}
	}},
	{"writes all rows or none", []string{"rows written at once are independent"}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, put: func(ctx context.Context, rows []lease.Row) []error {
			errs := make([]error, len(rows))
			failed := false
			for i, row := range current(s, rows) {
				if row.Version != rows[i].Version {
					errs[i], failed = lease.ErrConflict, true
				}
			}
			if failed {
				return errs
			}
			return s.Put(ctx, rows)
		}}
	}},
	{"stops at the first conflict", []string{"rows deleted at once are independent"}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, remove: func(ctx context.Context, rows []lease.Row) []error {
			for i := range rows {
				if errs := s.Delete(ctx, rows[i:i+1]); errs != nil {
					return append(make([]error, i), slices.Repeat(errs, len(rows)-i)...)
				}
			}
			return nil
		}}
	}},
	{"answers with the errors only", []string{
		"rows written at once are independent",
	}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, put: func(ctx context.Context, rows []lease.Row) []error {
			return slices.DeleteFunc(s.Put(ctx, rows), func(err error) bool { return err == nil })
		}}
	}},
	{"answers nil errors when all was written", []string{"a row is created once"}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, put: func(ctx context.Context, rows []lease.Row) []error {
			if errs := s.Put(ctx, rows); errs != nil {
				return errs
			}
			return make([]error, len(rows))
		}}
	}},
	{"refuses to write nothing", []string{"nothing is asked for"}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, put: func(ctx context.Context, rows []lease.Row) []error {
			if len(rows) == 0 {
				return []error{errBroken}
			}
			return s.Put(ctx, rows)
		}}
	}},
	{"refuses to read nothing", []string{"nothing is asked for"}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, get: func(ctx context.Context, keys []string) ([]lease.Row, error) {
			if len(keys) == 0 {
				return nil, errBroken
			}
			return s.Get(ctx, keys)
		}}
	}},
	{"never stamps a cursor again", []string{
		"a cursor is stamped or kept", "a listing by cursor has the change",
	}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, put: func(ctx context.Context, rows []lease.Row) []error {
			rows = slices.Clone(rows)
			stored, _ := s.Get(ctx, keysOf(rows))
			for i, row := range stored {
				if rows[i].Cursor == "" {
					rows[i].Cursor = row.Cursor
				}
			}
			return s.Put(ctx, rows)
		}}
	}},
	{"does not keep a cursor", []string{"a cursor is stamped or kept"}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, put: func(ctx context.Context, rows []lease.Row) []error {
			rows = slices.Clone(rows)
			for i := range rows {
				rows[i].Cursor = ""
			}
			return s.Put(ctx, rows)
		}}
	}},
	{"lists without cursors", []string{
		"a listing holds one group", "a listing by cursor has the change",
	}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, list: func(ctx context.Context, group, after string) iter.Seq2[lease.Row, error] {
			return each(s.List(ctx, group, after), func(row *lease.Row) bool { row.Cursor = ""; return true })
		}}
	}},
	{"lists changes without their values", []string{"a listing by cursor has the change"}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, list: func(ctx context.Context, group, after string) iter.Seq2[lease.Row, error] {
			return each(s.List(ctx, group, after), func(row *lease.Row) bool {
				if after != "" {
					row.Value = nil
				}
				return true
			})
		}}
	}},
	{"lists no changes", []string{"a listing by cursor has the change"}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, list: func(ctx context.Context, group, after string) iter.Seq2[lease.Row, error] {
			return each(s.List(ctx, group, after), func(*lease.Row) bool { return after == "" })
		}}
	}},
	{"lists rows twice", []string{"a listing holds one group"}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, list: func(ctx context.Context, group, after string) iter.Seq2[lease.Row, error] {
			return func(yield func(lease.Row, error) bool) {
				for range 2 {
					for row, err := range s.List(ctx, group, after) {
						if !yield(row, err) {
							return
						}
					}
				}
			}
		}}
	}},
	{"lists groups below", []string{"a listing holds one group", "a listing by cursor has the change"}, func(s *memlease.Store) lease.Store {
		return matching(&faulty{Store: s}, strings.HasPrefix)
	}},
	{"lists neighbours of the same beginning", []string{"a listing holds one group"}, func(s *memlease.Store) lease.Store {
		return matching(&faulty{Store: s}, func(key, group string) bool {
			return strings.HasPrefix(key, strings.TrimSuffix(group, "/")) && strings.Count(key, "/") == strings.Count(group, "/")
		})
	}},
	{"lists by a pattern", []string{"a listing holds one group"}, func(s *memlease.Store) lease.Store {
		return matching(&faulty{Store: s}, func(key, group string) bool {
			ok, _ := path.Match(group+"*", key)
			return ok
		})
	}},
	{"lists groups without regard to case", []string{"a listing holds one group"}, func(s *memlease.Store) lease.Store {
		return matching(&faulty{Store: s}, func(key, group string) bool {
			return strings.EqualFold(key[:strings.LastIndexByte(key, '/')+1], group)
		})
	}},
	{"lists deleted rows", []string{"a deleted row leaves the listing"}, func(s *memlease.Store) lease.Store {
		listed := memlease.New()
		return &faulty{Store: s, list: listed.List, put: func(ctx context.Context, rows []lease.Row) []error {
			listed.Put(ctx, rows)
			return s.Put(ctx, rows)
		}}
	}},
	{"lists on when it was left", []string{"a listing can be left early"}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, list: func(ctx context.Context, group, after string) iter.Seq2[lease.Row, error] {
			return func(yield func(lease.Row, error) bool) {
				for row, err := range s.List(ctx, group, after) {
					yield(row, err)
				}
			}
		}}
	}},
	{"ignores its context", []string{"an ended context is an error"}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, get: func(ctx context.Context, keys []string) ([]lease.Row, error) {
			return s.Get(context.WithoutCancel(ctx), keys)
		}}
	}},
	{"writes nothing under an ended context and does not say so", []string{"an ended context is an error"}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, put: func(ctx context.Context, rows []lease.Row) []error {
			if ctx.Err() != nil {
				return nil
			}
			return s.Put(ctx, rows)
		}}
	}},
	{"takes its time when the context has ended", []string{"an ended context is an error"}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, list: func(ctx context.Context, group, after string) iter.Seq2[lease.Row, error] {
			if ctx.Err() != nil {
				_ = backoff.Wait(context.WithoutCancel(ctx), time.Minute)
			}
			return s.List(ctx, group, after)
		}}
	}},
	{"lists on after an error", []string{"an ended context is an error"}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, list: func(ctx context.Context, group, after string) iter.Seq2[lease.Row, error] {
			return func(yield func(lease.Row, error) bool) {
				for row, err := range s.List(ctx, group, after) {
					if yield(row, err) && err != nil {
						yield(row, err)
					}
				}
			}
		}}
	}},
}
