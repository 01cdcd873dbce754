package memlease

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/runnelhq/runnel/lease"
)

// Store is a [lease.Store] in memory. The zero value is empty and ready.
type Store struct {
	mu    sync.Mutex
	rows  map[string]lease.Row
	stamp uint64
}

// New makes an empty store.
func New() *Store { return &Store{} }

// Setup does nothing.
func (s *Store) Setup(ctx context.Context) error { return context.Cause(ctx) }

// Get reads rows.
func (s *Store) Get(ctx context.Context, keys []string) ([]lease.Row, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	rows := make([]lease.Row, len(keys))
	for i, key := range keys {
		rows[i] = copyOf(s.rows[key])
		rows[i].Key = key
	}
	return rows, nil
}

// List yields the rows of a group in the order of their keys, all of one instant.
func (s *Store) List(ctx context.Context, group, after string) iter.Seq2[lease.Row, error] {
	return func(yield func(lease.Row, error) bool) {
		if err := context.Cause(ctx); err != nil {
			yield(lease.Row{}, err)
			return
		}
		for _, row := range s.group(group, after) {
			if !yield(row, nil) {
				return
			}
		}
	}
}

func (s *Store) group(group, after string) []lease.Row {
	s.mu.Lock()
	defer s.mu.Unlock()
	var rows []lease.Row
	for key, row := range s.rows {
		name, ok := strings.CutPrefix(key, group)
		if ok && !strings.Contains(name, "/") && row.Cursor > after {
			rows = append(rows, copyOf(row))
		}
	}
	slices.SortFunc(rows, func(a, b lease.Row) int { return strings.Compare(a.Key, b.Key) })
	return rows
}

// Put writes each row whose version is the stored one.
func (s *Store) Put(ctx context.Context, rows []lease.Row) []error {
	return s.each(ctx, rows, func(row lease.Row) {
		row = copyOf(row)
		row.Version++
		if row.Cursor == "" {
			s.stamp++
			row.Cursor = fmt.Sprintf("%020d", s.stamp)
		}
		if s.rows == nil {
			s.rows = make(map[string]lease.Row)
		}
		s.rows[row.Key] = row
	})
}

// Delete removes each row whose version is the stored one.
func (s *Store) Delete(ctx context.Context, rows []lease.Row) []error {
	return s.each(ctx, rows, func(row lease.Row) { delete(s.rows, row.Key) })
}

// each applies write to the rows whose version is the stored one, and answers ErrConflict for the others.
func (s *Store) each(ctx context.Context, rows []lease.Row, write func(lease.Row)) []error {
	errs := make([]error, len(rows))
	failed := false
	cause := context.Cause(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, row := range rows {
		switch {
		case cause != nil:
			errs[i], failed = cause, true
		case s.rows[row.Key].Version != row.Version:
			errs[i], failed = lease.ErrConflict, true
		default:
			write(row)
		}
	}
	if !failed {
		return nil
	}
	return errs
}

func copyOf(row lease.Row) lease.Row {
	row.Value = bytes.Clone(row.Value)
	return row
}
