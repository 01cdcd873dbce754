package leasetest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/memlease"
)

// checkThenWrite compares versions and writes later, as a store does that reads and then writes without a condition.
func checkThenWrite(s *memlease.Store, write func(context.Context, []lease.Row) []error) func(context.Context, []lease.Row) []error {
	return func(ctx context.Context, rows []lease.Row) []error {
		for i, row := range current(ctx, s, rows) {
			if row.Version != rows[i].Version {
				return []error{lease.ErrConflict}
			}
		}
		if err := backoff.Wait(ctx, time.Millisecond); err != nil {
			return []error{err}
		}
		return write(ctx, current(ctx, s, rows))
	}
}

var brokenWriters = []broken{
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
		return &faulty{Store: s, put: func(ctx context.Context, rows []lease.Row) []error { return s.Put(ctx, current(ctx, s, rows)) }}
	}},
	{"ignores versions when it keeps the cursor", []string{"an update must name the stored version"}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, put: func(ctx context.Context, rows []lease.Row) []error {
			for i, row := range current(ctx, s, rows) {
				if rows[i].Cursor != "" {
					rows[i].Version = row.Version
				}
			}
			return s.Put(ctx, rows)
		}}
	}},
	{"updates a row from any lower version", []string{"an update must name the stored version"}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, put: func(ctx context.Context, rows []lease.Row) []error {
			for i, row := range current(ctx, s, rows) {
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
		return &faulty{Store: s, remove: func(ctx context.Context, rows []lease.Row) []error { return s.Delete(ctx, current(ctx, s, rows)) }}
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
	{"writes all rows or none", []string{"rows written at once are independent"}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, put: func(ctx context.Context, rows []lease.Row) []error {
			errs := make([]error, len(rows))
			failed := false
			for i, row := range current(ctx, s, rows) {
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
}
