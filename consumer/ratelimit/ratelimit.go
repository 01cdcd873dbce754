package ratelimit

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"github.com/runnelhq/runnel/consumer"
)

// Records lets so many records a second reach the handler. A batch larger than l's burst is paid in portions of at most the burst and waits until the last is paid, so that none is too large.
func Records(l *rate.Limiter) consumer.Limiter { return records{l} }

// Calls lets so many calls a second reach the handler, whatever number of records each carries.
func Calls(l *rate.Limiter) consumer.Limiter { return calls{l} }

type records struct{ l *rate.Limiter }

func (r records) Wait(ctx context.Context, n int) error { return wait(ctx, r.l, n) }

type calls struct{ l *rate.Limiter }

func (c calls) Wait(ctx context.Context, _ int) error { return wait(ctx, c.l, 1) }

// wait pays n tokens and returns when it may spend them, or pays none. Every portion is reserved before the first is waited for: with rate.Limiter.WaitN for each, large batches of many workers would
// take turns at the bucket and all be late together, and what a batch had paid before its context ended would be lost.
func wait(ctx context.Context, l *rate.Limiter, n int) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	now := time.Now()
	if l.Limit() <= 0 { // a reservation would be for some instant in 292 years, and hold when the limit is raised
		if l.AllowN(now, n) {
			return nil
		}
		return fmt.Errorf("ratelimit: the limit is 0, and less than %d is left", n)
	}
	paid, err := reserve(l, now, n)
	if err != nil || len(paid) == 0 {
		return err
	}
	delay := paid[len(paid)-1].DelayFrom(now)
	if deadline, ok := ctx.Deadline(); ok && now.Add(delay).After(deadline) {
		giveBack(paid)
		return fmt.Errorf("ratelimit: %d would have to wait for %v, beyond the deadline: %w", n, delay, context.DeadlineExceeded)
	}
	if delay == 0 {
		return nil
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		giveBack(paid)
		return context.Cause(ctx)
	}
}

// reserve takes n tokens in portions of at most the burst. Each portion is due no earlier than the one before.
func reserve(l *rate.Limiter, now time.Time, n int) ([]*rate.Reservation, error) {
	most := l.Burst()
	if l.Limit() == rate.Inf {
		most = n // the burst does not count
	}
	if most <= 0 && n > 0 {
		return nil, fmt.Errorf("ratelimit: a burst of %d allows nothing", most)
	}
	var paid []*rate.Reservation
	for ; n > 0; n -= most {
		portion := l.ReserveN(now, min(n, most))
		if !portion.OK() { // the burst was made smaller meanwhile
			giveBack(paid)
			return nil, fmt.Errorf("ratelimit: a burst of %d allows no portion of %d", l.Burst(), min(n, most))
		}
		paid = append(paid, portion)
	}
	return paid, nil
}

// giveBack returns the last portion first: a reservation gives back only what no later one was built on.
func giveBack(paid []*rate.Reservation) {
	for _, portion := range slices.Backward(paid) {
		portion.Cancel()
	}
}
