package main

import (
	"cmp"
	"context"
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/memsource"
	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/lease/memlease"
)

const idleShardCount = 1000

func idleName(role string) string { return "Idle/shards=1000/side=" + role }

// settling is how long a worker has from its last assignment until it is watched: shards that have just been opened are read more often.
const settling = 5 * time.Second

// idleShards compares a process that reads shards in memory, which have nothing to say, with one that does nothing.
func idleShards(ctx context.Context, o options, r *report) error {
	r.note("one core for the process: %t", pinned())
	for range cmp.Or(o.Count, 2) {
		var empty usage
		for _, role := range []string{"empty", "idle"} {
			u, err := run(ctx, task{Role: role, Shards: idleShardCount, Seconds: cmp.Or(o.Seconds, 20)}, readerCore)
			if err != nil {
				return err
			}
			if role == "empty" {
				empty = u
			}
			r.result(idleName(role),
				metric{u.CPU / u.Wall * 100, "core-%"},
				metric{float64(u.Rest), "resident-B"},
				metric{float64(u.Rest - empty.Rest), "above-empty-B"},
				metric{float64(u.Peak), "peak-B"},
				metric{float64(u.Peak - empty.Peak), "peak-above-empty-B"},
			)
		}
	}
	return nil
}

// rest is a process that does nothing.
func rest(ctx context.Context, t task) (usage, error) { return watch(ctx, t) }

// watch measures what happens anyway.
func watch(ctx context.Context, t task) (u usage, err error) {
	begun := time.Now()
	before, _, err := processorTime()
	if err != nil {
		return u, err
	}
	if err := backoff.Wait(ctx, time.Duration(t.Seconds)*time.Second); err != nil {
		return u, err
	}
	after, _, err := processorTime()
	if err != nil {
		return u, err
	}
	u.CPU, u.Wall = (after - before).Seconds(), time.Since(begun).Seconds()
	return u, u.resident()
}

// idle is a worker on shards without records.
func idle(ctx context.Context, t task) (u usage, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var assigned atomic.Int64
	all := make(chan struct{})
	var troubles troubles
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return consumer.Run(ctx, consumer.Config{
			Name: "bench", Source: memsource.New("bench", &memsource.Config{Shards: t.Shards}), Leases: memlease.New(),
			Handler: consumer.Each(func(context.Context, consumer.Record) error { return errors.New("a record came") }),
			Hooks: consumer.Hooks{
				Assigned: func(consumer.Assigned) {
					if assigned.Add(1) == int64(t.Shards) {
						close(all)
					}
				},
				Error: func(f consumer.Failed) { troubles.add(f.Err) },
			},
		})
	})
	group.Go(func() error {
		defer stop()
		select {
		case <-all:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := backoff.Wait(ctx, settling); err != nil {
			return err
		}
		var err error
		u, err = watch(ctx, t)
		return errors.Join(err, troubles.all())
	})
	err = group.Wait()
	return u, err
}
