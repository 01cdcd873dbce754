package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/internal/torment"
)

// expiry is how long a worker is silent before others take its shards.
const expiry = 3 * time.Second

// scenario is a bank with its books in a sink, on a stream.
type scenario struct {
	sink, stream string
	begin        func(ctx context.Context, g *ground, in *input) (*place, error)
	input        func(ctx context.Context, g *ground) (*input, error)
	byAccount    bool
	unmarked     bool
	acts         acts
	seed         uint64
}

func (s scenario) order() string {
	if s.byAccount {
		return "account"
	}
	return "shard"
}

// result is what a scenario came to.
type result struct {
	scenario
	transfers int
	told      tally
	done      map[string]int // deeds, by kind
	findings
}

// run does a scenario, and writes what happens to log.
func (s scenario) run(ctx context.Context, g *ground, log io.Writer) (_ result, err error) {
	fmt.Fprintf(log, "%s on %s, in the order of each %s, seed %d\n", s.sink, s.stream, s.order(), s.seed)
	began := torment.Clock()
	in, err := s.input(ctx, g)
	if err != nil {
		return result{}, err
	}
	defer func() { err = errors.Join(err, in.remove(context.WithoutCancel(ctx))) }()
	p, err := s.begin(ctx, g, in)
	if err != nil {
		return result{}, err
	}
	defer func() { err = errors.Join(err, p.end(context.WithoutCancel(ctx))) }()
	args := append([]string{"-leases", torment.Unique("leases"), "-expiry", expiry.String()}, in.args...)
	if s.byAccount {
		args = append(args, "-by-account")
	}
	c, err := newCrew(g, in, p, args, s.unmarked)
	if err != nil {
		return result{}, err
	}
	t := &tormentor{crew: c, input: in, log: log, began: began, deeds: make(map[string]int)}
	produced := &producer{put: in.put}
	failed := s.play(ctx, t, produced) // what the books say then may be why
	stopped := c.TerminateAll()
	if err := errors.Join(c.Dismiss(), context.Cause(ctx)); err != nil {
		return result{}, errors.Join(err, failed)
	}
	b, err := p.read(ctx)
	if err != nil {
		return result{}, err
	}
	r := result{scenario: s, transfers: len(produced.transfers()), done: t.deeds, findings: *verify(produced.transfers(), b)}
	var faults []string
	r.told, faults = c.counted()
	r.violations = append(r.violations, append(faults, t.faults...)...)
	for _, err := range []error{failed, stopped} {
		if err != nil {
			r.violated("%v", err)
		}
	}
	for _, v := range r.listed() {
		fmt.Fprintf(log, "  VIOLATION %s\n", v)
	}
	fmt.Fprintf(log, "  %d transfers in %v: %d deliveries, %d repeats filtered, resumed ahead %d times; %v\n",
		r.transfers, (torment.Clock() - began).Round(time.Second), r.told.deliveries, r.told.repeats, r.told.ahead, r.done)
	return r, nil
}

// How long it may take until all shards have owners, and until all is booked once nothing more is put.
const (
	settled = time.Minute
	drained = 90 * time.Second
)

// play has transfers put while the workers are tormented, and waits until all are booked: what is missing is for [verify] to say.
func (s scenario) play(ctx context.Context, t *tormentor, p *producer) error {
	if err := t.crew.setup(ctx); err != nil {
		return err
	}
	for range t.input.workers {
		if _, err := t.crew.hire(ctx); err != nil {
			return err
		}
	}
	if !until(ctx, settled, func() bool { return t.crew.sealed() >= t.input.shards }) {
		return fmt.Errorf("after %v, %d of %d shards are sealed", settled, t.crew.sealed(), t.input.shards)
	}
	producing, end := context.WithCancel(ctx)
	defer end()
	acting, failed := context.WithCancelCause(ctx)
	defer failed(nil)
	produced := make(chan error, 1)
	go func() {
		err := p.run(producing, s.seed)
		if err != nil {
			failed(err)
		}
		produced <- err
	}()
	err := t.rage(acting, s)
	end()
	if err = errors.Join(err, <-produced); err != nil {
		return err
	}
	for deadline := torment.Clock() + drained; ; {
		b, err := t.crew.place.read(ctx)
		if err != nil || verify(p.transfers(), b).lost == 0 || torment.Clock() > deadline {
			return err
		}
		if err := backoff.Wait(ctx, 500*time.Millisecond); err != nil {
			return err
		}
	}
}
