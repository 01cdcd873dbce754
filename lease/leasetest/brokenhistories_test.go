package leasetest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/memlease"
)

const (
	caseOrder       = "what callers see at once has an order"
	caseFaultyOrder = "what callers see under faults has an order"
)

// takingTime has a call take some of the bubble's time, so that others' calls are under way too.
func takingTime(ctx context.Context) { _ = backoff.Wait(ctx, 2*time.Millisecond) }

// memory remembers what rows were.
type memory struct {
	mu     sync.Mutex
	before map[string]lease.Row
}

func (m *memory) keep(rows []lease.Row) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.before == nil {
		m.before = map[string]lease.Row{}
	}
	for _, row := range rows {
		m.before[row.Key] = row
	}
}

func (m *memory) row(key string) lease.Row {
	m.mu.Lock()
	defer m.mu.Unlock()
	row := m.before[key]
	row.Key = key
	return row
}

func (m *memory) all() []lease.Row {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Values(m.before))
}

// rewritten makes a row what it was, whatever it is.
func rewritten(ctx context.Context, s lease.Store, row lease.Row) {
	_ = s.Delete(ctx, current(ctx, s, []lease.Row{row}))
	for version := range row.Version {
		again := row
		again.Version = version
		_ = s.Put(ctx, []lease.Row{again})
	}
}

var brokenUnderRaces = []broken{
	{"reads an older copy now and then", []string{caseOrder}, func(s *memlease.Store) lease.Store {
		var old memory
		var gets atomic.Int64
		return &faulty{Store: s,
			put: func(ctx context.Context, rows []lease.Row) []error {
				stored, _ := s.Get(ctx, keysOf(rows))
				old.keep(stored)
				return s.Put(ctx, rows)
			},
			get: func(ctx context.Context, keys []string) ([]lease.Row, error) {
				rows, err := s.Get(ctx, keys)
				if len(rows) > 0 && gets.Add(1)%20 == 0 {
					rows[0] = old.row(keys[0])
				}
				return rows, err
			},
		}
	}},
	{"drops one of two writes that overlap, and acknowledges both", []string{caseOrder}, func(s *memlease.Store) lease.Store {
		var under atomic.Int64
		return &faulty{Store: s, put: func(ctx context.Context, rows []lease.Row) []error {
			defer under.Add(-1)
			if under.Add(1) > 1 {
				return nil
			}
			takingTime(ctx)
			return s.Put(ctx, rows)
		}}
	}},
	{"says conflict of a row that it wrote", []string{caseOrder}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, put: func(ctx context.Context, rows []lease.Row) []error {
			errs := s.Put(ctx, rows)
			if len(rows) < slots {
				return errs
			}
			if errs == nil {
				errs = make([]error, len(rows))
			}
			errs[0] = lease.ErrConflict
			return errs
		}}
	}},
	{"says done of a row that it did not write among others", []string{caseOrder}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, put: func(ctx context.Context, rows []lease.Row) []error {
			errs := s.Put(ctx, rows)
			if len(rows) == slots && errs != nil && errors.Is(errs[0], lease.ErrConflict) {
				errs[0] = nil
			}
			return errs
		}}
	}},
	{"brings a deleted row back when it is written at the same time", []string{caseOrder}, func(s *memlease.Store) lease.Store {
		return &faulty{Store: s, put: func(ctx context.Context, rows []lease.Row) []error {
			stored, _ := s.Get(ctx, keysOf(rows))
			takingTime(ctx)
			errs := s.Put(ctx, rows)
			for i := range errs {
				if rows[i].Version > 0 && stored[i].Version == rows[i].Version {
					again := rows[i]
					again.Version = 0
					if s.Put(ctx, []lease.Row{again}) == nil {
						errs[i] = nil
					}
				}
			}
			return errs
		}}
	}},
	{"has errors that say nothing when two write", []string{caseOrder}, func(s *memlease.Store) lease.Store {
		var under atomic.Int64
		return &faulty{Store: s, put: func(ctx context.Context, rows []lease.Row) []error {
			defer under.Add(-1)
			if under.Add(1) > 1 {
				return slices.Repeat([]error{errBroken}, len(rows))
			}
			takingTime(ctx)
			return s.Put(ctx, rows)
		}}
	}},
}

var brokenUnderFaults = []brokenClient{
	{"reads its own copy in an outage", []string{caseFaultyOrder}, func(w *wire) lease.Store {
		var seen memory
		return &faulty{Store: w, get: func(ctx context.Context, keys []string) ([]lease.Row, error) {
			rows, err := w.Get(ctx, keys)
			if err == nil {
				seen.keep(rows)
			}
			if errors.Is(err, errCut) {
				rows, err = nil, nil
				for _, key := range keys {
					rows = append(rows, seen.row(key))
				}
			}
			return rows, err
		}}
	}},
	{"forgets the last writes in an outage", []string{caseFaultyOrder}, func(w *wire) lease.Store {
		var last memory
		return &faulty{Store: w, put: func(ctx context.Context, rows []lease.Row) []error {
			if w.now() == Cut {
				for _, row := range last.all() {
					rewritten(ctx, w.service, row)
				}
				return slices.Repeat([]error{errCut}, len(rows))
			}
			stored, _ := w.service.Get(ctx, keysOf(rows))
			errs := w.Put(ctx, rows)
			if errs == nil {
				last.keep(stored)
			}
			return errs
		}}
	}},
	{"takes a throttle for success now and then", []string{caseFaultyOrder}, func(w *wire) lease.Store {
		var n atomic.Int64
		return answering(w, func(err error) error {
			if errors.Is(err, errThrottled) && n.Add(1)%4 == 0 {
				return nil
			}
			return err
		})
	}},
}
