package main

import (
	"context"
	"math/rand/v2"
	"time"

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

// rage does everything, and returns when all is done. What happens is chosen by the seed, but for who is free to have it done to.
func (s storm) rage(ctx context.Context, t *tormentor) error {
	return torment.Storm(ctx, s.seed, []torment.Track{
		{Times: s.kills, Least: 2 * time.Second, Most: 6 * time.Second, Do: func(ctx context.Context, r *rand.Rand, _ int) error { return s.killOne(ctx, t, r) }},
		{Times: s.stops, Least: time.Second, Most: 3 * time.Second, Do: func(ctx context.Context, r *rand.Rand, _ int) error { return s.stopOne(ctx, t, r) }},
		{Times: len(s.cuts), Least: time.Second, Most: 3 * time.Second, Do: func(ctx context.Context, r *rand.Rand, i int) error {
			return s.cutOff(ctx, t, r, s.cuts[i])
		}},
		{Times: s.reshards, Least: 3 * time.Second, Most: 7 * time.Second, Do: func(ctx context.Context, _ *rand.Rand, i int) error {
			return t.reshard(ctx, i%2 == 1)
		}},
		{Times: s.changes, Least: 3 * time.Second, Most: 6 * time.Second, Do: func(ctx context.Context, r *rand.Rand, _ int) error { return s.change(ctx, t, r) }},
	})
}

func (s storm) stopOne(ctx context.Context, t *tormentor, r *rand.Rand) error {
	w, release, err := t.crew.Pick(ctx, r, nil)
	if err != nil {
		return err
	}
	defer release()
	return t.stop(ctx, w, 3*s.timing.Expiry)
}

// change has a worker join, and a while later one leave.
func (s storm) change(ctx context.Context, t *tormentor, r *rand.Rand) error {
	if err := t.join(ctx); err != nil {
		return err
	}
	if err := backoff.Wait(ctx, torment.Between(r, 2*time.Second, 5*time.Second)); err != nil {
		return err
	}
	w, release, err := t.crew.Pick(ctx, r, nil)
	if err != nil {
		return err
	}
	defer release()
	t.leave(w)
	return nil
}

// killOne kills a worker and hires another, sometimes at once.
func (s storm) killOne(ctx context.Context, t *tormentor, r *rand.Rand) error {
	w, release, err := t.crew.Pick(ctx, r, nil)
	if err != nil {
		return err
	}
	defer release()
	if err := t.kill(w); err != nil {
		return err
	}
	if err := backoff.Wait(ctx, torment.Between(r, 0, 2*time.Second)); err != nil {
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
	w, release, err := t.crew.Pick(ctx, r, nil)
	if err != nil {
		return err
	}
	defer release()
	t.cut(ctx, w, c.mode, d)
	return nil
}
