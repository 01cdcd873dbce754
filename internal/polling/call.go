package polling

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/internal/awserr"
	"github.com/runnelhq/runnel/internal/backoff"
)

// Call makes one request, which may take no longer than limit. The cause of ctx's end is returned as it is.
func Call(ctx context.Context, limit time.Duration, f func(ctx context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := f(bounded)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case bounded.Err() != nil:
		return fmt.Errorf("no answer within %v: %w", limit, err)
	}
	return err
}

// again is how long Retry waits between attempts.
var again = backoff.Policy{Base: 400 * time.Millisecond, Cap: 2 * time.Second}

// Retry calls f up to n times, with back-off between, until it succeeds or fails in a way that does not pass.
func Retry(ctx context.Context, n int, f func() error) error {
	for i := 1; ; i++ {
		err := f()
		if err == nil || i == n || ctx.Err() != nil || !passes(err) {
			return err
		}
		if err := backoff.Wait(ctx, again.Delay(i)); err != nil {
			return err
		}
	}
}

func passes(err error) bool {
	if isFact(err) {
		return false
	}
	kind := awserr.Of(err)
	return kind == awserr.Other || kind == awserr.Throttled
}

// Explain adds to an error of a service what follows from its code alone: it wraps [consumer.ErrDenied] where the service refuses the
// caller, with a hint. What is not found depends on what was asked for, and is left to the caller.
func Explain(err error) error {
	if awserr.Of(err) == awserr.Denied && !isFact(err) {
		return fmt.Errorf("%w: %s: %w", consumer.ErrDenied, awserr.Hint(err), err)
	}
	return err
}

// isFact tells whether trying again at once is of no use.
func isFact(err error) bool {
	return errors.Is(err, consumer.ErrDenied) || errors.Is(err, consumer.ErrNoStream) ||
		errors.Is(err, consumer.ErrNoShard) || errors.Is(err, consumer.ErrTrimmed)
}
