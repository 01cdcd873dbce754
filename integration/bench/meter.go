package main

import (
	"context"
	"iter"
	"math"
	"sync"
	"sync/atomic"

	"github.com/runnelhq/runnel/lease"
)

// demand is what a lease store was asked for.
type demand struct {
	reads, listings float64 // calls
	puts            float64 // calls of Put and Delete
	writes          float64 // rows written or deleted, refused ones too
	readUnits       float64 // as DynamoDB counts them
	writeUnits      float64
}

func (a demand) minus(b demand) demand {
	return demand{a.reads - b.reads, a.listings - b.listings, a.puts - b.puts, a.writes - b.writes, a.readUnits - b.readUnits, a.writeUnits - b.writeUnits}
}

// meter adds up what all workers ask of one store.
type meter struct {
	mu    sync.Mutex
	total demand
}

func (m *meter) add(a demand) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.total
	m.total = demand{t.reads + a.reads, t.listings + a.listings, t.puts + a.puts, t.writes + a.writes, t.readUnits + a.readUnits, t.writeUnits + a.writeUnits}
}

func (m *meter) read() demand {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.total
}

// metered is one worker's way to a store. Cut, it has no way: to the others the worker is dead.
type metered struct {
	lease.Store
	meter *meter
	cut   atomic.Bool
}

// History asks a store that tells.
func (s *metered) History(ctx context.Context, groups []string) (string, error) {
	h, tells := s.Store.(lease.Historian)
	if !tells {
		return "", nil
	}
	return h.History(ctx, groups)
}

// Stamp stamps as the store does.
func (s *metered) Stamp() string {
	if st, stamps := s.Store.(lease.Stamper); stamps {
		return st.Stamp()
	}
	return ""
}

// size is about what a row takes in a table: names, version and cursor besides key and value.
func size(row lease.Row) float64 { return float64(len(row.Key)+len(row.Value)) + 60 }

// units is how many units of so many bytes something takes, one at least.
func units(bytes, unit float64) float64 { return max(1, math.Ceil(bytes/unit)) }

// The rules are those of package ddblease's documentation, section "Costs".
const (
	readUnit  = 4096
	writeUnit = 1024
)

func (s *metered) Get(ctx context.Context, keys []string) ([]lease.Row, error) {
	if s.cut.Load() {
		return nil, errCut
	}
	rows, err := s.Store.Get(ctx, keys)
	a := demand{reads: 1}
	for _, row := range rows {
		a.readUnits += units(size(row), readUnit)
	}
	s.meter.add(a)
	return rows, err
}

func (s *metered) List(ctx context.Context, group, after string) iter.Seq2[lease.Row, error] {
	return func(yield func(lease.Row, error) bool) {
		if s.cut.Load() {
			yield(lease.Row{}, errCut)
			return
		}
		var bytes, changed float64
		defer func() {
			a := demand{listings: 1, readUnits: units(bytes, readUnit) / 2}
			if after != "" {
				a.readUnits = 0.5 + changed
			}
			s.meter.add(a)
		}()
		for row, err := range s.Store.List(ctx, group, after) {
			bytes += size(row)
			changed += units(size(row), readUnit)
			if !yield(row, err) {
				return
			}
		}
	}
}

func (s *metered) Put(ctx context.Context, rows []lease.Row) []error {
	return s.write(ctx, rows, s.Store.Put)
}

func (s *metered) Delete(ctx context.Context, rows []lease.Row) []error {
	return s.write(ctx, rows, s.Store.Delete)
}

func (s *metered) write(ctx context.Context, rows []lease.Row, write func(context.Context, []lease.Row) []error) []error {
	if s.cut.Load() {
		errs := make([]error, len(rows))
		for i := range errs {
			errs[i] = errCut
		}
		return errs
	}
	a := demand{puts: 1, writes: float64(len(rows))}
	for _, row := range rows {
		a.writeUnits += units(size(row), writeUnit)
		switch {
		case row.Version == 0:
			a.writeUnits++
		case row.Cursor == "":
			a.writeUnits += 2
		}
	}
	s.meter.add(a)
	return write(ctx, rows)
}
