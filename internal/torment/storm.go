package torment

import (
	"context"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/runnelhq/runnel/internal/backoff"
)

// Track is something that is done several times, with a pause before each.
type Track struct {
	Times       int
	Least, Most time.Duration // of the pause
	Do          func(ctx context.Context, r *rand.Rand, i int) error
}

// Storm does everything at once, and returns when all is done or something has failed. The seed chooses pauses, and what a track takes from its dice.
func Storm(ctx context.Context, seed uint64, tracks []Track) error {
	group, ctx := errgroup.WithContext(ctx)
	for n, t := range tracks {
		r := rand.New(rand.NewPCG(seed, uint64(n)+1))
		group.Go(func() error {
			for i := range t.Times {
				if err := backoff.Wait(ctx, Between(r, t.Least, t.Most)); err != nil {
					return err
				}
				if err := t.Do(ctx, r, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// Between is a random duration.
func Between(r *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(r.Int64N(int64(most-least)))
}
