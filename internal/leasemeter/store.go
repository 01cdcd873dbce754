package leasemeter

import (
	"context"
	"iter"
	"math"

	"github.com/runnelhq/runnel/lease"
)

// Store is one worker's way to a store, with a meter in it.
type Store struct {
	lease.Store
	Meter *Meter
}

// History asks a store that tells.
func (s *Store) History(ctx context.Context, groups []string) (string, error) {
	h, tells := s.Store.(lease.Historian)
	if !tells {
		return "", nil
	}
	return h.History(ctx, groups)
}

// Stamp stamps as the store does.
func (s *Store) Stamp() string {
	if st, stamps := s.Store.(lease.Stamper); stamps {
		return st.Stamp()
	}
	return ""
}

// size is about what a row takes in a table: names, version and cursor besides key and value.
func size(row lease.Row) float64 { return float64(len(row.Key)+len(row.Value)) + 60 }

// units is how many units of so many bytes something takes, one at least.
func units(bytes, unit float64) float64 { return max(1, math.Ceil(bytes/unit)) }

// The bytes of a unit.
const (
	readUnit  = 4096
	writeUnit = 1024
)

// Get counts a call, and units for each row by itself.
func (s *Store) Get(ctx context.Context, keys []string) ([]lease.Row, error) {
	rows, err := s.Store.Get(ctx, keys)
	d := Demand{Reads: 1}
	for _, row := range rows {
		d.ReadUnits += units(size(row), readUnit)
	}
	s.Meter.add(d)
	return rows, err
}

// List counts a call, and units for all rows together, at half the price; or, of changes, for each row by itself.
func (s *Store) List(ctx context.Context, group, after string) iter.Seq2[lease.Row, error] {
	return func(yield func(lease.Row, error) bool) {
		var bytes, changed float64
		defer func() {
			d := Demand{Listings: 1, ReadUnits: units(bytes, readUnit) / 2}
			if after != "" {
				d.ReadUnits = 0.5 + changed
			}
			s.Meter.add(d)
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

// Put counts the rows and their units.
func (s *Store) Put(ctx context.Context, rows []lease.Row) []error {
	s.writes(rows, false)
	return s.Store.Put(ctx, rows)
}

// Delete counts the rows and their units.
func (s *Store) Delete(ctx context.Context, rows []lease.Row) []error {
	s.writes(rows, true)
	return s.Store.Delete(ctx, rows)
}

// writes counts rows that are about to be written or deleted: one that comes or goes does so in the index too, and one whose change is listed moves in it.
func (s *Store) writes(rows []lease.Row, deleted bool) {
	d := Demand{Puts: 1, Writes: float64(len(rows))}
	for _, row := range rows {
		d.WriteUnits += units(size(row), writeUnit)
		switch {
		case row.Version == 0, deleted:
			d.WriteUnits++
		case row.Cursor == "":
			d.WriteUnits += 2
		}
	}
	s.Meter.add(d)
}
