package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/internal/instants"
	"github.com/runnelhq/runnel/internal/torment"
)

// The kinds of deeds.
const (
	kills    = "kills"
	stops    = "stops"
	answers  = "lost answers"
	reshards = "reshards"
	joins    = "joins"
	leaves   = "leaves"
)

// tormentor does things to a crew, and counts them.
type tormentor struct {
	crew  *crew
	input *input
	log   io.Writer
	began time.Duration

	mu     sync.Mutex
	deeds  map[string]int
	faults []string
}

func (t *tormentor) did(kind, format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.deeds[kind]++
	fmt.Fprintf(t.log, "  %5.1f s  %-12s %s\n", (torment.Clock() - t.began).Seconds(), kind, fmt.Sprintf(format, args...))
}

// acts are what is done to the workers.
type acts struct {
	kills    []instants.Instant // "": at random
	stops    []instants.Instant // likewise
	losses   []loss             // nothing is lost where the database has no address
	reshards int
	changes  int // of the crew: one joins, one leaves
}

var all = acts{
	kills:    []instants.Instant{instants.Before, instants.Inside, instants.Committed, instants.Advanced, instants.Sealed, ""},
	stops:    []instants.Instant{instants.Before, instants.Inside, instants.Committed, ""},
	losses:   []loss{{}, {late: true}, {kill: true}, {late: true}, {}},
	reshards: 4,
	changes:  2,
}

// rage does everything to the workers at the same time, and returns when all is done.
func (t *tormentor) rage(ctx context.Context, s scenario) error {
	a := s.acts
	if t.crew.place.address == "" {
		a.losses = nil
	}
	return torment.Storm(ctx, s.seed, []torment.Track{
		{Times: len(a.kills), Least: time.Second, Most: 3 * time.Second, Do: func(ctx context.Context, r *rand.Rand, i int) error {
			return t.killAt(ctx, r, a.kills[i], s.byAccount)
		}},
		{Times: len(a.stops), Least: time.Second, Most: 4 * time.Second, Do: func(ctx context.Context, r *rand.Rand, i int) error {
			return t.stopAt(ctx, r, a.stops[i])
		}},
		{Times: len(a.losses), Least: time.Second, Most: 4 * time.Second, Do: func(ctx context.Context, r *rand.Rand, i int) error {
			return t.lose(ctx, r, a.losses[i])
		}},
		{Times: a.reshards, Least: 3 * time.Second, Most: 7 * time.Second, Do: func(ctx context.Context, _ *rand.Rand, i int) error {
			what, err := t.input.reshard(ctx, i)
			if err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			t.did(reshards, "%s", what)
			return nil
		}},
		{Times: a.changes, Least: 3 * time.Second, Most: 6 * time.Second, Do: func(ctx context.Context, r *rand.Rand, _ int) error { return t.change(ctx, r) }},
	})
}

// tries is how many workers are asked to come to an instant.
const tries = 6

// at picks a worker that has a shard, and has a call of it wait at an instant, and before that, if held, another one before its effects.
func (t *tormentor) at(ctx context.Context, r *rand.Rand, i instants.Instant, held bool, do func(w *worker, e instants.Event) error) error {
	for range tries {
		done, err := t.with(ctx, r, func(w *worker) (bool, error) {
			if held {
				if there, _ := t.crew.arrive(ctx, []*worker{w}, instants.Before); there == nil {
					return false, context.Cause(ctx)
				}
				defer func() { _ = w.Say("go " + string(instants.Before)) }() // it may have ended
			}
			there, e := t.crew.arrive(ctx, []*worker{w}, i)
			if there == nil {
				return false, context.Cause(ctx)
			}
			return true, do(w, e)
		})
		if done || err != nil {
			return err
		}
	}
	return fmt.Errorf("none of %d workers came to the instant %q", tries, i)
}

// with picks a worker that has a shard, and keeps others from it meanwhile.
func (t *tormentor) with(ctx context.Context, r *rand.Rand, do func(w *worker) (bool, error)) (bool, error) {
	w, release, err := t.crew.Pick(ctx, r, t.crew.owns)
	if err != nil {
		return false, err
	}
	defer release()
	return do(w)
}

// killAt kills a worker at an instant, or at random where that is "", and hires another. Where low has moved, lanes says that the call of another account is kept from its effects meanwhile: low must not have passed it.
func (t *tormentor) killAt(ctx context.Context, r *rand.Rand, i instants.Instant, lanes bool) error {
	switch i {
	case "":
		_, err := t.with(ctx, r, func(w *worker) (bool, error) { return true, t.kill(ctx, w, "at random") })
		return err
	case instants.Sealed:
		return t.killSealed(ctx, r)
	}
	return t.at(ctx, r, i, i == instants.Advanced && lanes, func(w *worker, e instants.Event) error {
		return t.kill(ctx, w, fmt.Sprintf("%s, of shard %s", i, e.Shard))
	})
}

func (t *tormentor) kill(ctx context.Context, w *worker, when string) error {
	if _, err := w.Kill(); err != nil {
		return err
	}
	t.did(kills, "%s %s", w.Name, when)
	_, err := t.crew.hire(ctx)
	return err
}

// killSealed kills a worker, and then the one that has just sealed a shard of it.
func (t *tormentor) killSealed(ctx context.Context, r *rand.Rand) error {
	for range tries {
		if err := t.killAt(ctx, r, "", false); err != nil {
			return err
		}
		if done, err := t.killHeir(ctx); done || err != nil {
			return err
		}
	}
	return fmt.Errorf("none of %d workers could be killed when it had sealed a shard", tries)
}

// killHeir kills the next worker that seals a shard, unless something else is done to it.
func (t *tormentor) killHeir(ctx context.Context) (bool, error) {
	w, e := t.crew.arrive(ctx, t.crew.Running(), instants.Sealed)
	if w == nil {
		return false, context.Cause(ctx)
	}
	release, ok := t.crew.Take(w)
	if !ok {
		_ = w.Say("go " + string(instants.Sealed)) // it may have ended
		return false, nil
	}
	defer release()
	return true, t.kill(ctx, w, fmt.Sprintf("%s, shard %s", instants.Sealed, e.Shard))
}

// stopAt stops a worker at an instant, or at random where that is "", until another has sealed its shard, and has it go on.
func (t *tormentor) stopAt(ctx context.Context, r *rand.Rand, i instants.Instant) error {
	if i == "" {
		_, err := t.with(ctx, r, func(w *worker) (bool, error) {
			err := w.Freeze(ctx, 3*expiry)
			t.did(stops, "%s at random, for %v", w.Name, 3*expiry)
			return true, err
		})
		return err
	}
	return t.at(ctx, r, i, false, func(w *worker, e instants.Event) error {
		thaw, err := w.Stop(ctx)
		if err != nil {
			return err
		}
		from := torment.Clock()
		text := "not taken over"
		// What is stopped inside a transaction may keep everybody from the database until it goes on.
		if until(ctx, 3*expiry, func() bool { return t.crew.taken(e) }) {
			text = "taken over"
		}
		took := torment.Clock() - from
		if err := thaw(); err != nil {
			return err
		}
		t.did(stops, "%s %s, of shard %s, %s after %v", w.Name, i, e.Shard, text, took.Round(time.Millisecond))
		return w.Say("go " + string(i))
	})
}

// loss is how an answer is lost.
type loss struct {
	late bool // the request arrives after the connection has broken
	kill bool // the worker is killed when its request is done
}

// lose has a worker not hear that its transaction was committed.
func (t *tormentor) lose(ctx context.Context, r *rand.Rand, l loss) error {
	for range tries {
		done, err := t.with(ctx, r, func(w *worker) (bool, error) {
			c := &torment.Catch{Match: t.crew.place.commits, Late: l.late}
			w.Proxy.Catch(c)
			defer w.Proxy.Forget(c)
			if !until(ctx, patience, func() bool {
				select {
				case <-c.Caught():
					return true
				default:
					return false
				}
			}) {
				return false, context.Cause(ctx)
			}
			return true, t.lost(ctx, r, w, c, l)
		})
		if done || err != nil {
			return err
		}
	}
	return fmt.Errorf("none of %d workers committed anything", tries)
}

func (t *tormentor) lost(ctx context.Context, r *rand.Rand, w *worker, c *torment.Catch, l loss) error {
	switch {
	case l.kill:
		if err := t.kill(ctx, w, "when its commit was done"); err != nil {
			return err
		}
	case l.late:
		if err := backoff.Wait(ctx, torment.Between(r, 0, time.Second)); err != nil {
			return err
		}
	}
	c.Release()
	text := w.Name
	if l.late {
		text += ", and its request came late"
	}
	t.did(answers, "%s", text)
	return nil
}

// change has a worker join, and a while later one leave.
func (t *tormentor) change(ctx context.Context, r *rand.Rand) error {
	w, err := t.crew.hire(ctx)
	if err != nil {
		return err
	}
	t.did(joins, "%s", w.Name)
	if err := backoff.Wait(ctx, torment.Between(r, 2*time.Second, 5*time.Second)); err != nil {
		return err
	}
	_, err = t.with(ctx, r, func(w *worker) (bool, error) {
		if err := w.Terminate(); err != nil {
			t.mu.Lock()
			t.faults = append(t.faults, err.Error())
			t.mu.Unlock()
		}
		t.did(leaves, "%s", w.Name)
		return true, nil
	})
	return err
}
