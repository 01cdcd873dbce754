package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/internal/torment"
	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/localstack"
)

// scenario is one run of chaos: a store, a strategy, and how much is done.
type scenario struct {
	store  string
	everyN int // 0: a checkpoint after every record; see [defaults]
	timing lease.Timing
	quiet  int // kills of which each has the time to be overcome
	storm  storm
}

func (s scenario) String() string { return s.store + ", " + s.strategy() }

func (s scenario) strategy() string {
	switch s.everyN {
	case 0:
		return "EveryRecord"
	case defaults:
		return "defaults"
	}
	return fmt.Sprintf("EveryN(%d)", s.everyN)
}

// bound is how many records may be repeated when an owner did not give its shard up cleanly: what was in its hands, and of EveryN what was done and not
// stored, at most 2N − 1.
func (s scenario) bound() int {
	switch s.everyN {
	case 0:
		return 1
	case defaults:
		return 2 * 1000
	}
	return 2 * s.everyN
}

// allowance is for the machine, which does much at once.
const allowance = 3 * time.Second

func (s scenario) limit() time.Duration { return s.timing.Expiry + 2*s.timing.Poll + allowance }

const (
	workers = 5
	shards  = 6
)

var steadyLoad = load{Keys: 48, Each: 8, Every: 100 * time.Millisecond, Most: 60_000}

// result is what a scenario came to.
type result struct {
	scenario   scenario
	records    int
	lacking    int
	counts     map[string]int
	found      findings
	violations []violation
	took       time.Duration
}

// run does a scenario, and writes what happens to log.
func (s scenario) run(ctx context.Context, services localstack.Clients, broken fault, log io.Writer) (_ result, err error) {
	fmt.Fprintf(log, "%s, seed %d\n", s, s.storm.seed)
	at := torment.Clock()
	job := task{EveryN: s.everyN, Timing: s.timing, Busy: 150 * time.Millisecond, Idle: 500 * time.Millisecond, Pace: 3 * time.Millisecond, Break: broken}
	st, err := newStage(ctx, services, s.store, shards, job)
	if err != nil {
		return result{}, err
	}
	t := &tormentor{crew: st.crew, stream: st.stream, log: log, began: at}
	err = st.play(ctx, steadyLoad, func(ctx context.Context) error { return s.act(ctx, st, t) })
	h, closeErr := st.close(ctx)
	if err = errors.Join(err, closeErr); err != nil {
		return result{}, fmt.Errorf("%s: %w", s, err)
	}
	h.deeds, h.bound, h.limit = t.deeds, s.bound(), s.limit()
	r := result{scenario: s, records: len(h.records), counts: t.counts(), took: torment.Clock() - at}
	r.violations, r.found = verify(h)
	for _, v := range r.violations {
		if v.rule == ruleLost {
			r.lacking++
		}
	}
	for _, v := range r.violations {
		fmt.Fprintf(log, "  VIOLATION %s\n", v)
	}
	fmt.Fprintf(log, "  %d records in %v: %s\n", r.records, r.took.Round(time.Second), describe(r.counts))
	return r, nil
}

// act is what happens to the crew while records come.
func (s scenario) act(ctx context.Context, st *stage, t *tormentor) error {
	if _, err := st.crew.hireAll(ctx, workers); err != nil {
		return err
	}
	if err := st.settled(ctx, shards, time.Minute); err != nil {
		return err
	}
	for range s.quiet {
		all := st.crew.Running()
		w := all[0]
		for _, other := range all[1:] {
			if len(st.crew.owned(other.Name)) > len(st.crew.owned(w.Name)) {
				w = other
			}
		}
		if err := t.kill(w); err != nil {
			return err
		}
		_ = st.until(ctx, s.limit(), "its shards are handled", func() bool { return len(st.crew.owned(w.Name)) == 0 })
		if err := backoff.Wait(ctx, time.Second); err != nil {
			return err
		}
		if err := t.join(ctx); err != nil {
			return err
		}
		if err := st.settled(ctx, shards, time.Minute); err != nil {
			return err
		}
	}
	storm := s.storm
	storm.timing = s.timing
	if st.storage.address == "" {
		storm.cuts = []cut{{mode: deedHold}, {mode: deedHold, long: true}, {mode: deedHold}}
	} else {
		storm.cuts = proxied(st.storage.http)
	}
	if err := storm.rage(ctx, t); err != nil {
		return err
	}
	return backoff.Wait(ctx, s.timing.Expiry)
}
