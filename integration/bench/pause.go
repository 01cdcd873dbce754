package main

import (
	"context"
	"math/rand/v2"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/localstack"
)

const (
	quiet       = "Idle/shards=16/endpoint=kinesis"
	woken       = "Pause/shards=16"
	quietShards = 16
	// A shard's interval of reads has grown to its longest after some 4 s without records; then comes a random part of so many more.
	quietTime = 6 * time.Second
	anyPhase  = 3 * time.Second
)

// pauses is how often a shard at rest is read, and how long its first record after a pause takes.
func pauses(ctx context.Context, o options, r *report) error {
	return inRounds(ctx, o, 1, r, pauseRound)
}

func pauseRound(ctx context.Context, seconds int, r *report, c localstack.Clients) error {
	s, err := newStream(ctx, c, quietShards)
	if err != nil {
		return err
	}
	var requests wire
	handled := make([]chan time.Duration, quietShards)
	for i := range handled {
		handled[i] = make(chan time.Duration, 1) // each shard has one record under way
	}
	handle := func(rec consumer.Record) error {
		d, err := age(rec)
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(rec.Key)
		if err != nil {
			return err
		}
		handled[n] <- d
		return nil
	}
	return onEndpoint(ctx, c.Through(requests.through), s, consumer.Hooks{}, handle, func(ctx context.Context) error {
		if err := pause(ctx, lead); err != nil {
			return err
		}
		before, begun := requests.snapshot(), time.Now()
		if err := pause(ctx, seconds/2); err != nil {
			return err
		}
		reads, took := requests.since(before)["GetRecords"], time.Since(begun)
		r.result(quiet, metric{float64(reads) / quietShards / took.Minutes(), "reads/min/shard"})
		var a ages
		a.begin()
		group, ctx := errgroup.WithContext(ctx)
		for n := range quietShards {
			group.Go(func() error {
				return s.wake(ctx, n, time.Now().Add(time.Duration(seconds)*time.Second), handled[n], &a)
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
		r.result(woken, a.metrics()...)
		return nil
	})
}

// wake puts a record into a shard after each pause, until the end.
func (s *stream) wake(ctx context.Context, n int, end time.Time, handled <-chan time.Duration, a *ages) error {
	for time.Now().Before(end) {
		if err := backoff.Wait(ctx, quietTime+rand.N(anyPhase)); err != nil {
			return err
		}
		if err := s.put(ctx, n); err != nil {
			return err
		}
		select {
		case d := <-handled:
			a.add(d)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
