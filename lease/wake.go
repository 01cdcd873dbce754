package lease

import (
	"context"
	"time"
)

// wake ends another goroutine's wait early. Pokes that nobody waited for are one.
type wake chan struct{}

func newWake() wake { return make(wake, 1) }

func (w wake) poke() {
	select {
	case w <- struct{}{}:
	default:
	}
}

// wait waits for d or a poke, or returns the cause of ctx's end.
func (w wake) wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(max(d, 0))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-w:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
