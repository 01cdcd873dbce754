package leasetest

import (
	"context"
	"errors"
	"iter"
	"slices"

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
func current(ctx context.Context, s *memlease.Store, rows []lease.Row) []lease.Row {
	stored, _ := s.Get(ctx, keysOf(rows))
	rows = slices.Clone(rows)
	for i := range rows {
		rows[i].Version = stored[i].Version
	}
	return rows
}

// broken is a store with one fault, and the cases that must see it.
type broken struct {
	name     string
	caughtBy []string
	make     func(*memlease.Store) lease.Store
}
