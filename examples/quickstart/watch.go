package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// watch follows a run until all its votes are counted. It is the only one that speaks to the board.
type watch struct {
	run      *run
	crew     *crew
	producer *producer
	board    *board

	begun   time.Time
	samples []sample          // of the last seconds
	moved   time.Time         // when votes were last seen to be applied
	told    map[takeover]bool // those that were announced

	kill   bool    // still to be done
	third  int     // of what is to be applied: then a worker is killed
	rest   int     // that must be left to apply then
	victim *member // nil: none yet
}

// sample is what was applied at an instant.
type sample struct {
	at      time.Time
	applied int
}

const (
	lookEvery = 250 * time.Millisecond
	rateOver  = 2 * time.Second
	// stalled is how long no vote may be applied. A takeover needs up to 14 s. Other programs' records on the streams are no sign of life: they may never
	// end, and a vote that is lost would be waited for as long.
	stalled = time.Minute
)

var errStalled = errors.New("nothing was counted")

func newWatch(ctx context.Context, r *run, c *crew, p *producer, b *board, kill bool) (*watch, error) {
	w := &watch{run: r, crew: c, producer: p, board: b, begun: time.Now(), moved: time.Now(), told: make(map[takeover]bool), kill: kill}
	before, err := r.progress(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range before.takeovers() {
		if t.to != "" {
			w.told[t] = true
			w.kill = false // it was shown in an earlier start
		}
	}
	applied, _, _ := before.totals()
	w.rest = (r.Records - applied) / 3
	w.third = applied + w.rest
	return w, nil
}

func (w *watch) event(format string, args ...any) {
	w.board.event(time.Since(w.begun), format, args...)
}

// until returns nil when all votes are counted. cast gives the producer's end.
func (w *watch) until(ctx context.Context, cast <-chan error) error {
	defer w.board.clear()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-cast:
			if err != nil {
				return err
			}
			cast = nil
		case m := <-w.crew.ended:
			if err := w.ended(ctx, m); err != nil {
				return err
			}
		case <-tick.C:
			all, err := w.look(ctx, cast == nil)
			if err != nil || all {
				return err
			}
		}
	}
}

// look reads how far the run is, says so, and does what is due.
func (w *watch) look(ctx context.Context, cast bool) (all bool, err error) {
	p, err := w.run.progress(ctx)
	if err != nil {
		return false, err
	}
	applied, _, _ := p.totals()
	w.sample(applied)
	w.announce(p)
	if err := w.strike(ctx, p, applied); err != nil {
		return false, err
	}
	w.board.show(w.snapshot(p, applied))
	if cast && applied >= w.run.Records {
		distinct, err := w.run.distinct(ctx) // a producer that was killed may have put some votes twice
		return distinct == w.run.Records, err
	}
	if time.Since(w.moved) > stalled {
		return false, w.stuck(applied)
	}
	return false, nil
}

func (w *watch) sample(applied int) {
	now := time.Now()
	if n := len(w.samples); n > 0 && w.samples[n-1].applied != applied {
		w.moved = now
	}
	w.samples = append(w.samples, sample{now, applied})
	for now.Sub(w.samples[0].at) > rateOver {
		w.samples = w.samples[1:]
	}
}

func (w *watch) rate() float64 {
	first, last := w.samples[0], w.samples[len(w.samples)-1]
	if first.at.Equal(last.at) {
		return 0
	}
	return float64(last.applied-first.applied) / last.at.Sub(first.at).Seconds()
}

func (w *watch) snapshot(p progress, applied int) snapshot {
	s := snapshot{elapsed: time.Since(w.begun), records: w.run.Records, put: int(w.producer.put.Load()), applied: applied, rate: w.rate()}
	shards, by := p.held()
	for _, m := range w.crew.members {
		fate := ""
		if !m.alive() {
			what := "ended"
			if m == w.victim {
				what = "killed"
			}
			fate = fmt.Sprintf("%s at %.0f s", what, m.at.Sub(w.begun).Seconds())
		}
		s.workers = append(s.workers, state{m.name, fate, shards[m.name], by[m.name]})
	}
	return s
}

// announce says which shards were taken over since the last time.
func (w *watch) announce(p progress) {
	for _, t := range p.takeovers() {
		if t.to != "" && !w.told[t] {
			w.told[t] = true
			w.event("shard %s of %s is handled by %s, %.1f s after the death", t.shard, t.from, t.to, t.took.Seconds())
		}
	}
}

// strike kills the worker with the most shards once a third is applied, and enough is left for others to show that they go on. Until half is applied it
// waits for every worker to have a shard, which takes some seconds if they did not start at the same time.
func (w *watch) strike(ctx context.Context, p progress, applied int) error {
	if !w.kill || applied < w.third {
		return nil
	}
	if w.run.Records-applied < w.rest {
		w.kill = false
		w.event("no worker is killed: the rest was applied before it could be")
		return nil
	}
	shards, _ := p.held()
	shared := true
	for _, m := range w.crew.members {
		n := len(shards[m.name])
		switch {
		case !m.alive():
		case n == 0:
			shared = false
		case w.victim == nil || n > len(shards[w.victim.name]):
			w.victim = m
		}
	}
	if w.victim == nil || !shared && applied < w.third+w.rest/2 {
		w.victim = nil
		return nil
	}
	w.kill = false
	at := time.Now()
	if err := w.victim.kill(); err != nil {
		return fmt.Errorf("kill %s: %w", w.victim.name, err)
	}
	w.event("killed %s (process %d) with SIGKILL: it had shards %s", w.victim.name, w.victim.cmd.Process.Pid, strings.Join(shards[w.victim.name], " "))
	return w.run.died(ctx, w.victim.n, at)
}

// ended says that a worker is gone that was not stopped. The others go on without it.
func (w *watch) ended(ctx context.Context, m *member) error {
	if m != w.victim {
		if m.err == nil {
			w.event("%s was stopped", m.name)
		} else {
			w.event("%s (process %d) died: %v", m.name, m.cmd.Process.Pid, m.err)
			if err := w.run.died(ctx, m.n, m.at); err != nil {
				return err
			}
		}
	}
	for _, other := range w.crew.members {
		if other.alive() {
			return nil
		}
	}
	return fmt.Errorf("no worker is left: %s says\n%s", m.name, m.last())
}

func (w *watch) stuck(applied int) error {
	errs := []error{fmt.Errorf("%w for %s: %d of %d are applied", errStalled, stalled, applied, w.run.Records)}
	for _, m := range w.crew.members {
		if m.alive() {
			errs = append(errs, fmt.Errorf("%s says\n%s", m.name, m.last()))
		}
	}
	return errors.Join(errs...)
}
