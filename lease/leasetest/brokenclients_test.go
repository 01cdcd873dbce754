package leasetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/lease"
)

const (
	caseGone      = "what does not arrive is an error, and no conflict"
	caseLost      = "a write whose answer is lost is done once or not at all"
	caseLate      = "a write that arrives late meets its condition"
	caseSlow      = "an answer that takes its time is waited for"
	caseThrottled = "what is throttled is an error, and no conflict"
)

// answering replaces the answers to Put.
func answering(w *wire, replace func(error) error) lease.Store {
	return &faulty{Store: w, put: func(ctx context.Context, rows []lease.Row) []error {
		errs := w.Put(ctx, rows)
		for i, err := range errs {
			if err != nil {
				errs[i] = replace(err)
			}
		}
		if errors.Join(errs...) == nil {
			return nil
		}
		return errs
	}}
}

// taking answers one error for another.
func taking(err, other error) func(*wire) lease.Store {
	return func(w *wire) lease.Store {
		return answering(w, func(e error) error {
			if errors.Is(e, err) {
				return other
			}
			return e
		})
	}
}

var brokenClients = []brokenClient{
	{"takes an outage for success", []string{caseGone}, taking(errCut, nil)},
	{"takes an outage for a conflict", []string{caseGone}, taking(errCut, lease.ErrConflict)},
	{"takes an outage in the middle of a delete for a conflict", []string{caseGone}, func(w *wire) lease.Store {
		return &faulty{Store: w, remove: func(ctx context.Context, rows []lease.Row) []error {
			errs := w.Delete(ctx, rows)
			if errs != nil && errors.Is(errs[0], errCut) {
				errs[0] = lease.ErrConflict
			}
			return errs
		}}
	}},
	{"waits for its service whatever its context says", []string{caseGone}, func(w *wire) lease.Store {
		return &faulty{Store: w, get: func(ctx context.Context, keys []string) ([]lease.Row, error) {
			for {
				rows, err := w.Get(ctx, keys)
				if err == nil || backoff.Wait(context.WithoutCancel(ctx), time.Minute) != nil {
					return rows, err
				}
				if ctx.Err() != nil {
					return nil, ctx.Err()
				}
			}
		}}
	}},
	{"reads nothing while its service is gone", []string{caseGone}, func(w *wire) lease.Store {
		return &faulty{Store: w, get: func(ctx context.Context, keys []string) ([]lease.Row, error) {
			rows, err := w.Get(ctx, keys)
			if errors.Is(err, errCut) {
				rows = make([]lease.Row, len(keys))
				for i, key := range keys {
					rows[i].Key = key
				}
				return rows, nil
			}
			return rows, err
		}}
	}},
	{"lists nothing while its service is gone", []string{caseGone}, func(w *wire) lease.Store {
		return &faulty{Store: w, list: func(ctx context.Context, group, after string) iter.Seq2[lease.Row, error] {
			return func(yield func(lease.Row, error) bool) {
				for row, err := range w.List(ctx, group, after) {
					if errors.Is(err, errCut) || !yield(row, err) {
						return
					}
				}
			}
		}}
	}},
	{"blames the table for an outage", []string{caseGone}, func(w *wire) lease.Store {
		return &faulty{Store: w, setup: func(ctx context.Context) error {
			if err := w.Setup(ctx); err != nil {
				return fmt.Errorf("%w: %w", lease.ErrTable, err)
			}
			return nil
		}}
	}},
	{"does not come back", []string{caseGone, caseThrottled}, func(w *wire) lease.Store {
		var broken error
		return &faulty{Store: w, put: func(ctx context.Context, rows []lease.Row) []error {
			if broken != nil {
				return slices.Repeat([]error{broken}, len(rows))
			}
			errs := w.Put(ctx, rows)
			if errs != nil && !errors.Is(errs[0], lease.ErrConflict) {
				broken = errs[0]
			}
			return errs
		}}
	}},
	{"writes again what it has no answer to, whatever the version", []string{caseLost}, func(w *wire) lease.Store {
		return &faulty{Store: w, put: func(ctx context.Context, rows []lease.Row) []error {
			errs := w.Put(ctx, rows)
			if errs != nil && errors.Is(errs[0], errNoAnswer) {
				_ = w.Put(ctx, current(ctx, w.service, rows))
			}
			return errs
		}}
	}},
	{"takes a lost answer for success", []string{caseLost}, taking(errNoAnswer, nil)},
	{"compares versions before it sends", []string{caseLate}, func(w *wire) lease.Store {
		return &faulty{Store: w, put: func(ctx context.Context, rows []lease.Row) []error {
			return w.write(ctx, rows, func(ctx context.Context, rows []lease.Row) []error {
				return w.service.Put(ctx, current(ctx, w.service, rows))
			})
		}}
	}},
	{"says done of what is on its way", []string{caseLate}, taking(context.DeadlineExceeded, nil)},
	{"says conflict of what is on its way", []string{caseLate}, taking(context.DeadlineExceeded, lease.ErrConflict)},
	{"gives up on a slow answer", []string{caseSlow}, func(w *wire) lease.Store {
		return &faulty{Store: w, get: func(ctx context.Context, keys []string) ([]lease.Row, error) {
			ctx, cancel := context.WithTimeout(ctx, SlowBy/2)
			defer cancel()
			return w.Get(ctx, keys)
		}}
	}},
	{"says done of what takes its time", []string{caseSlow}, func(w *wire) lease.Store {
		return &faulty{Store: w, put: func(ctx context.Context, rows []lease.Row) []error {
			if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < SlowBy {
				return nil
			}
			return w.Put(ctx, rows)
		}}
	}},
	{"takes a throttle for success", []string{caseThrottled}, taking(errThrottled, nil)},
	{"takes a throttle for a conflict", []string{caseThrottled}, taking(errThrottled, lease.ErrConflict)},
}
