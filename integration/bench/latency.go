package main

import (
	"context"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/localstack"
)

const (
	activeShards = 8
	rate         = 80 // records a second, over all shards
	lead         = 10 // seconds that are not measured
)

// latency is how long it takes from the sending of a record to its handler, while records come at random moments, and how often a shard is read meanwhile.
func latency(ctx context.Context, o options, r *report) error {
	return inRounds(ctx, o, 2, r, latencyRound)
}

func latencyRound(ctx context.Context, seconds int, r *report, c localstack.Clients) error {
	s, err := newStream(ctx, c, activeShards)
	if err != nil {
		return err
	}
	var requests wire
	var a ages
	hooks := consumer.Hooks{Page: func(p consumer.PageRead) { a.read(p.Shard) }}
	handle := func(rec consumer.Record) error {
		d, err := age(rec)
		a.add(d)
		return err
	}
	return onEndpoint(ctx, c.Through(requests.through), s, hooks, handle, func(ctx context.Context) error {
		sending, stop := context.WithCancel(ctx)
		defer stop()
		var sent errgroup.Group
		sent.Go(func() error { return s.send(sending) })
		if err := pause(ctx, lead); err != nil {
			return err
		}
		a.begin()
		before := requests.snapshot()
		if err := pause(ctx, seconds); err != nil {
			return err
		}
		a.end()
		reads := requests.since(before)["GetRecords"]
		stop()
		if err := sent.Wait(); err != nil {
			return err
		}
		most, second := a.busiest()
		r.result(steady, append(a.metrics(),
			metric{float64(reads) / activeShards / float64(seconds), "reads/s/shard"},
			metric{float64(most) / float64(seconds), "busiest-reads/s"},
			metric{float64(second), "most-reads-in-a-second"},
		)...)
		return nil
	})
}

// send puts records at random moments, evenly over the shards, until ctx ends.
func (s *stream) send(ctx context.Context) error {
	var puts errgroup.Group
	puts.SetLimit(32)
	for n := 0; ; n++ {
		if backoff.Wait(ctx, time.Duration(rand.ExpFloat64()*float64(time.Second)/rate)) != nil {
			return puts.Wait()
		}
		puts.Go(func() error { return s.put(context.WithoutCancel(ctx), n%len(s.hashes)) })
	}
}
