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
	lease.Store
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
func current(ctx context.Context, s lease.Store, rows []lease.Row) []lease.Row {
	stored, _ := s.Get(ctx, keysOf(rows))
	rows = slices.Clone(rows)
	for i := range rows {
		rows[i].Version = stored[i].Version
	}
	return rows
}

// broken is a service with one fault, and the cases that must see it.
type broken struct {
	name     string
	caughtBy []string
	make     func(*memlease.Store) lease.Store
}

// brokenClient is what has a fault at this end of a line, and the cases that must see it.
type brokenClient struct {
	name     string
	caughtBy []string
	make     func(*wire) lease.Store
}

// subject is a store that is tested, sound if it has neither function.
type subject struct {
	name     string
	caughtBy []string
	service  func(*memlease.Store) lease.Store
	client   func(*wire) lease.Store
}

// subjects are all the broken ones.
func subjects() (all []subject) {
	for _, b := range slices.Concat(brokenWriters, brokenReaders, brokenRacers, brokenUnderRaces, brokenListers, brokenWhenCancelled) {
		all = append(all, subject{b.name, b.caughtBy, b.make, nil})
	}
	for _, b := range slices.Concat(brokenClients, brokenUnderFaults) {
		all = append(all, subject{b.name, b.caughtBy, nil, b.make})
	}
	return all
}
