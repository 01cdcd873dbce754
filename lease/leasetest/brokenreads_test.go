package leasetest

import (
	"bytes"
	"context"
	"encoding/json"
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

var brokenReaders = []broken{
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
	{"hands a buffer out twice", []string{"values belong to the caller"}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, get: func(ctx context.Context, keys []string) ([]lease.Row, error) {
			rows, err := s.Get(ctx, keys)
			for i := range rows {
				rows[i].Value = rows[0].Value
			}
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
