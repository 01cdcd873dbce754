package main

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"

	"github.com/runnelhq/runnel/internal/leasemeter"
	"github.com/runnelhq/runnel/lease"
)

var errCut = errors.New("cut off")

// way is one worker's way to a store. Cut, it is none: to the others the worker is dead.
type way struct {
	leasemeter.Store
	cut atomic.Bool
}

func (w *way) Get(ctx context.Context, keys []string) ([]lease.Row, error) {
	if w.cut.Load() {
		return nil, errCut
	}
	return w.Store.Get(ctx, keys)
}

func (w *way) List(ctx context.Context, group, after string) iter.Seq2[lease.Row, error] {
	if w.cut.Load() {
		return func(yield func(lease.Row, error) bool) { yield(lease.Row{}, errCut) }
	}
	return w.Store.List(ctx, group, after)
}

func (w *way) Put(ctx context.Context, rows []lease.Row) []error {
	return w.write(ctx, rows, w.Store.Put)
}

func (w *way) Delete(ctx context.Context, rows []lease.Row) []error {
	return w.write(ctx, rows, w.Store.Delete)
}

func (w *way) write(ctx context.Context, rows []lease.Row, write func(context.Context, []lease.Row) []error) []error {
	if !w.cut.Load() {
		return write(ctx, rows)
	}
	errs := make([]error, len(rows))
	for i := range errs {
		errs[i] = errCut
	}
	return errs
}
