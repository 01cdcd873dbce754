package lease

import (
	"context"
	"time"

	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/internal/ground"
)

// instant is a moment on the two clocks of this host.
type instant = ground.Instant

// clock is the ground that a worker stands on: its clocks, waits, goroutines and dice.
type clock struct{ ground.Ground }

// mono is for what others do: nobody compares wall clocks between hosts.
func (c clock) mono() time.Duration { return c.Now().Mono }

func (c clock) jitter(d time.Duration) time.Duration { return ground.Jitter(c, d) }

// delay is the wait after the n-th failure in a row.
func (c clock) delay(p backoff.Policy, n int) time.Duration { return c.Upto(p.Ceiling(n)) }

// rest waits after the n-th failure in a row, or returns the cause of ctx's end.
func (c clock) rest(ctx context.Context, p backoff.Policy, n int) error {
	return c.Wait(ctx, c.delay(p, n))
}
