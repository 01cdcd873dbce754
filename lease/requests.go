package lease

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"
)

// How many rows one call has: small enough for a store that writes them one by one to answer within the limit.
const (
	readBatch  = 100
	writeBatch = 25
)

// requests sends requests of bounded length to a store.
type requests struct {
	store Store
	limit time.Duration
	clock clock
	// groups are those whose history counts.
	groups []string
}

var errSlow = errors.New("the store did not answer in time")

func (r requests) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return r.clock.Limit(ctx, r.limit, fmt.Errorf("%w: %w within Timing.Request, %v", context.DeadlineExceeded, errSlow, r.limit))
}

// get reads rows consistently, by key.
func (r requests) get(ctx context.Context, keys ...string) (map[string]Row, error) {
	rows := make(map[string]Row, len(keys))
	for batch := range slices.Chunk(keys, readBatch) {
		if err := r.getBatch(ctx, batch, rows); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

func (r requests) getBatch(ctx context.Context, keys []string, into map[string]Row) error {
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	rows, err := r.store.Get(ctx, keys)
	if err == nil && len(rows) != len(keys) {
		err = fmt.Errorf("the store answered %d rows", len(rows))
	}
	if err != nil {
		return fmt.Errorf("lease: read %d rows, first %s: %w", len(keys), keys[0], err)
	}
	for i, row := range rows {
		row.Key = keys[i]
		into[keys[i]] = row
	}
	return nil
}

// history is the store's, "" if it does not tell.
func (r requests) history(ctx context.Context) (string, error) {
	h, tells := r.store.(Historian)
	if !tells {
		return "", nil
	}
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	history, err := h.History(ctx, r.groups)
	if err != nil {
		return "", fmt.Errorf("lease: ask for the store's history: %w", err)
	}
	return history, nil
}

// stamp is the cursor that a change would get now, "" if the store's cursors are no instants.
func (r requests) stamp() string {
	s, stamps := r.store.(Stamper)
	if !stamps {
		return ""
	}
	return s.Stamp()
}

// put writes rows and gives one answer a row.
func (r requests) put(ctx context.Context, rows ...Row) []error {
	return r.each(ctx, rows, "write", r.store.Put)
}

// remove deletes rows and gives one answer a row.
func (r requests) remove(ctx context.Context, rows ...Row) []error {
	return r.each(ctx, rows, "delete", r.store.Delete)
}

func (r requests) each(ctx context.Context, rows []Row, verb string, write func(context.Context, []Row) []error) []error {
	answers := make([]error, 0, len(rows))
	for batch := range slices.Chunk(rows, writeBatch) {
		answers = append(answers, r.eachBatch(ctx, batch, verb, write)...)
	}
	return answers
}

func (r requests) eachBatch(ctx context.Context, rows []Row, verb string, write func(context.Context, []Row) []error) []error {
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	answers := make([]error, len(rows))
	errs := write(ctx, rows)
	for i, row := range rows {
		switch {
		case errs == nil:
		case len(errs) != len(rows):
			answers[i] = fmt.Errorf("lease: %s %s: the store answered for %d of %d rows", verb, row.Key, len(errs), len(rows))
		case errs[i] != nil:
			answers[i] = fmt.Errorf("lease: %s %s: %w", verb, row.Key, errs[i])
		}
	}
	return answers
}

// list yields the rows of a group. It ends when the store is silent for the limit of one request: a listing may be many.
func (r requests) list(ctx context.Context, group, after string) iter.Seq2[Row, error] {
	return patient(ctx, r.clock, r.limit, errSlow, "lease: list "+group, func(ctx context.Context) iter.Seq2[Row, error] {
		return r.store.List(ctx, group, after)
	})
}

// patient yields what list does, until it is silent for the limit.
func patient[T any](ctx context.Context, c clock, limit time.Duration, silent error, what string, list func(context.Context) iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		timer := c.After(limit, func() { cancel(fmt.Errorf("%w: nothing for %v", silent, limit)) })
		defer timer.Stop()
		for v, err := range list(ctx) {
			timer.Stop()
			if err != nil {
				err = fmt.Errorf("%s: %w", what, err)
			}
			if !yield(v, err) || err != nil {
				return
			}
			timer.Reset(limit)
		}
	}
}
