package main

import (
	"context"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/internal/torment"
	"github.com/runnelhq/runnel/lease"
)

// storm is what is done to a crew at the same time.
type storm struct {
	seed     uint64
	kills    int
	stops    int
	reshards int
	changes  int // of the crew: one joins, one leaves
	cuts     []cut
	timing   lease.Timing
}

// cut is how the store is taken away.
type cut struct {
	mode torment.Mode
	all  bool
	long bool // longer than a lease lasts, not shorter
}

// proxied are the cuts of a store that has an address.
func proxied(http bool) []cut {
	cuts := []cut{
		{torment.Refuse, false, false}, {torment.Swallow, false, true}, {torment.Lose, true, false}, {torment.Refuse, true, true}, {torment.Delay, true, true}, {torment.Lose, false, true},
		{torment.Swallow, true, false},
	}
	if http {
		cuts = append(cuts, cut{torment.Throttle, true, false}, cut{torment.Throttle, false, true})
	}
	return cuts
}

// between is a random duration.
func between(r *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(r.Int64N(int64(most-least)))
}

// rage does everything, and returns when all is done. What happens is chosen by the seed, but for who is free to have it done to.
func (s storm) rage(ctx context.Context, t *tormentor) error {
	group, ctx := errgroup.WithContext(ctx)
	track := func(n uint64, times int, least, most time.Duration, do func(r *rand.Rand, i int) error) {
		r := rand.New(rand.NewPCG(s.seed, n))
		group.Go(func() error {
			for i := range times {
				if err := backoff.Wait(ctx, between(r, least, most)); err != nil {
					return err
				}
				if err := do(r, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	track(1, s.kills, 2*time.Second, 6*time.Second, func(r *rand.Rand, _ int) error { return s.killOne(ctx, t, r) })
	track(2, s.stops, time.Second, 3*time.Second, func(r *rand.Rand, _ int) error {
		w, release, err := t.crew.Pick(ctx, r)
		if err != nil {
			return err
		}
		defer release()
		return t.stop(ctx, w, 3*s.timing.Expiry)
	})
	track(3, len(s.cuts), time.Second, 3*time.Second, func(r *rand.Rand, i int) error { return s.cutOff(ctx, t, r, s.cuts[i]) })
	track(4, s.reshards, 3*time.Second, 7*time.Second, func(_ *rand.Rand, i int) error { return t.reshard(ctx, i%2 == 1) })
	track(5, s.changes, 3*time.Second, 6*time.Second, func(r *rand.Rand, _ int) error {
		if err := t.join(ctx); err != nil {
			return err
		}
		if err := backoff.Wait(ctx, between(r, 2*time.Second, 5*time.Second)); err != nil {
			return err
		}
		w, release, err := t.crew.Pick(ctx, r)
		if err != nil {
			return err
		}
		defer release()
		t.leave(w)
		return nil
	})
	return group.Wait()
}

// killOne kills a worker and hires another, sometimes at once.
func (s storm) killOne(ctx context.Context, t *tormentor, r *rand.Rand) error {
	w, release, err := t.crew.Pick(ctx, r)
	if err != nil {
		return err
	}
	defer release()
	if err := t.kill(w); err != nil {
		return err
	}
	if err := backoff.Wait(ctx, between(r, 0, 2*time.Second)); err != nil {
		return err
	}
	return t.join(ctx)
}

func (s storm) cutOff(ctx context.Context, t *tormentor, r *rand.Rand, c cut) error {
	d := s.timing.Expiry * 2 / 5
	if c.long {
		d = s.timing.Expiry * 3 / 2
	}
	if c.mode == deedHold {
		return t.hold(ctx, d)
	}
	if c.all {
		t.cut(ctx, nil, c.mode, d)
		return nil
	}
	w, release, err := t.crew.Pick(ctx, r)
	if err != nil {
		return err
	}
	defer release()
	t.cut(ctx, w, c.mode, d)
	return nil
}
