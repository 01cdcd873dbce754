// Package backoff waits between attempts: exponential, with full jitter, ended by a context.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Policy is exponential back-off with full jitter: attempt n waits between 0 and Base·2ⁿ⁻¹, never beyond Cap.
type Policy struct{ Base, Cap time.Duration }

// Delay is a random wait after the n-th failure, counted from 1.
func (p Policy) Delay(n int) time.Duration { return rand.N(p.Ceiling(n) + 1) }

// Ceiling is the longest wait after the n-th failure.
func (p Policy) Ceiling(n int) time.Duration {
	d := p.Base
	for range n - 1 {
		if d > p.Cap/2 {
			return p.Cap
		}
		d *= 2
	}
	return min(d, p.Cap)
}

// Jitter lengthens d by up to a tenth, so that workers started together do not stay in step.
func Jitter(d time.Duration) time.Duration { return d + rand.N(d/10+1) }

// Wait waits for d, or returns the cause of ctx's end.
func Wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
