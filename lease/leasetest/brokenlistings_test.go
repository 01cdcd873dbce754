package leasetest

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/memlease"
)

const (
	caseWhile = "a listing has what was there while others write"
	caseMany  = "ten thousand rows are created and listed, and some deleted"
	caseWrite = "a write whose context ends is done or not"
	caseRead  = "a read whose context ends has all or an error"
)

// old lists what was there that long ago.
func old(s *memlease.Store, behind time.Duration, when func(after string) bool) *faulty {
	type view struct {
		at   time.Time
		rows []lease.Row
	}
	var mu sync.Mutex
	var views []view
	return &faulty{Store: s, list: func(ctx context.Context, group, after string) iter.Seq2[lease.Row, error] {
		if !when(after) {
			return s.List(ctx, group, after)
		}
		var rows []lease.Row
		for row, err := range s.List(ctx, group, "") {
			if err == nil {
				rows = append(rows, row)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		views = append(views, view{time.Now(), rows})
		rows = nil
		for _, v := range views {
			if time.Since(v.at) >= behind {
				rows = v.rows
			}
		}
		return func(yield func(lease.Row, error) bool) {
			for _, row := range rows {
				if row.Cursor > after && !yield(row, nil) {
					return
				}
			}
		}
	}}
}

var brokenListers = []broken{
	{"leaves rows out of a full listing while they are written", []string{caseWhile}, func(s *memlease.Store) lease.Store {
		var moving sync.Map
		return &faulty{Store: s,
			put: func(ctx context.Context, rows []lease.Row) []error {
				for _, row := range rows {
					moving.Store(row.Key, true)
					defer moving.Delete(row.Key) //nolint:revive // some rows
				}
				_ = backoff.Wait(ctx, 20*time.Millisecond)
				return s.Put(ctx, rows)
			},
			list: func(ctx context.Context, group, after string) iter.Seq2[lease.Row, error] {
				return each(s.List(ctx, group, after), func(row *lease.Row) bool {
					_, moves := moving.Load(row.Key)
					return !moves || after != ""
				})
			},
		}
	}},
	{"stamps cursors in an order other than that of the writes", []string{caseWhile}, func(s *memlease.Store) lease.Store {
		var stamp atomic.Int64
		return &faulty{Store: s, put: func(ctx context.Context, rows []lease.Row) []error {
			rows = slices.Clone(rows)
			for i := range rows {
				if rows[i].Cursor == "" {
					rows[i].Cursor = fmt.Sprintf("%020d", stamp.Add(1))
				}
			}
			if n := stamp.Load(); n%4 == 0 {
				_ = backoff.Wait(ctx, 500*time.Millisecond)
			}
			return s.Put(ctx, rows)
		}}
	}},
	{"lists what was there long ago", []string{caseWhile}, func(s *memlease.Store) lease.Store {
		return old(s, someTime+time.Second, func(after string) bool { return after == "" })
	}},
	{"lists changes of long ago", []string{caseWhile}, func(s *memlease.Store) lease.Store {
		return old(s, someTime+time.Second, func(after string) bool { return after != "" })
	}},
	{"lists a version with another's value", []string{caseWhile}, func(s *memlease.Store) lease.Store {
		var before memory
		return &faulty{Store: s,
			put: func(ctx context.Context, rows []lease.Row) []error {
				stored, _ := s.Get(ctx, keysOf(rows))
				before.keep(stored)
				return s.Put(ctx, rows)
			},
			list: func(ctx context.Context, group, after string) iter.Seq2[lease.Row, error] {
				return each(s.List(ctx, group, after), func(row *lease.Row) bool {
					if value := before.row(row.Key).Value; value != nil {
						row.Value = value
					}
					return true
				})
			},
		}
	}},
	{"lists five thousand rows and no more", []string{caseMany}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, list: func(ctx context.Context, group, after string) iter.Seq2[lease.Row, error] {
			n := 0
			return each(s.List(ctx, group, after), func(*lease.Row) bool { n++; return n <= 5000 })
		}}
	}},
	{"lists the row between two pages twice", []string{caseMany}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, list: func(ctx context.Context, group, after string) iter.Seq2[lease.Row, error] {
			return func(yield func(lease.Row, error) bool) {
				n := 0
				for row, err := range s.List(ctx, group, after) {
					if n++; n%1000 == 0 && !yield(row, err) || !yield(row, err) {
						return
					}
				}
			}
		}}
	}},
}

var brokenWhenCancelled = []broken{
	{"leaves a new version with the old value when the context ends", []string{caseWrite}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, put: func(ctx context.Context, rows []lease.Row) []error {
			stored, _ := s.Get(ctx, keysOf(rows))
			takingTime(ctx)
			if ctx.Err() == nil {
				return s.Put(ctx, rows)
			}
			half := slices.Clone(rows)
			for i := range half {
				half[i].Value = stored[i].Value
			}
			_ = s.Put(context.WithoutCancel(ctx), half)
			return slices.Repeat([]error{ctx.Err()}, len(rows))
		}}
	}},
	{"says done of what it gave up", []string{caseWrite}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, put: func(ctx context.Context, rows []lease.Row) []error {
			takingTime(ctx)
			if ctx.Err() != nil {
				return nil
			}
			return s.Put(ctx, rows)
		}}
	}},
	{"says done of a row among those that it gave up", []string{caseWrite}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, put: func(ctx context.Context, rows []lease.Row) []error {
			takingTime(ctx)
			errs := s.Put(ctx, rows)
			if len(rows) > 1 && ctx.Err() != nil {
				errs[len(rows)/2] = nil
			}
			return errs
		}}
	}},
	{"says conflict of a deletion that it gave up", []string{caseWrite}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s,
			put: func(ctx context.Context, rows []lease.Row) []error {
				takingTime(ctx)
				return s.Put(ctx, rows)
			},
			remove: func(ctx context.Context, rows []lease.Row) []error {
				takingTime(ctx)
				if ctx.Err() != nil {
					return slices.Repeat([]error{lease.ErrConflict}, len(rows))
				}
				return s.Delete(ctx, rows)
			},
		}
	}},
	{"reads what it has when the context ends", []string{caseRead}, func(s *memlease.Store) lease.Store {
		return slowReader(s, func(ctx context.Context, keys []string) ([]lease.Row, error) {
			takingTime(ctx)
			if ctx.Err() != nil {
				rows := make([]lease.Row, len(keys))
				for i, key := range keys {
					rows[i].Key = key
				}
				return rows, nil
			}
			return s.Get(ctx, keys)
		}, false)
	}},
	{"ends a listing without an error when the context ends", []string{caseRead}, func(s *memlease.Store) lease.Store {
		return slowReader(s, s.Get, true)
	}},
}

// slowReader takes its time over each row of a listing. When the context ends, it ends the listing, silently or with the cause.
func slowReader(s *memlease.Store, get func(context.Context, []string) ([]lease.Row, error), silent bool) *faulty {
	return &faulty{Store: s, get: get, list: func(ctx context.Context, group, after string) iter.Seq2[lease.Row, error] {
		return func(yield func(lease.Row, error) bool) {
			for row, err := range s.List(context.WithoutCancel(ctx), group, after) {
				takingTime(ctx)
				if ctx.Err() != nil {
					if !silent {
						yield(lease.Row{}, ctx.Err())
					}
					return
				}
				if !yield(row, err) {
					return
				}
			}
		}
	}}
}
