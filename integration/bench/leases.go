package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/memsource"
	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/lease/ddblease"
	"github.com/runnelhq/runnel/localstack"
)

const (
	atRest       = "Leases/workers=3/shards=32"
	leaseWorkers = 3
	leaseShards  = 32
)

// leaseTraffic counts the requests to the lease table of workers at rest. The workers share a process and a stream in memory, since only
// their leases matter; each has clients of its own.
func leaseTraffic(ctx context.Context, o options, r *report) (err error) {
	d, err := localstack.StartDynamoDB(ctx, localstack.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	var requests wire
	var troubles troubles
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	source := memsource.New("bench", &memsource.Config{Shards: leaseShards})
	table := unique("leases")
	workers := make([]*consumer.Consumer, leaseWorkers)
	for i := range workers {
		workers[i], err = consumer.New(consumer.Config{
			Name: "bench", Worker: fmt.Sprintf("worker-%d", i+1), Source: source,
			Leases:  ddblease.New(d.Through(requests.through).DynamoDB(), table, nil),
			Handler: consumer.Each(func(context.Context, consumer.Record) error { return errors.New("a record came") }),
			Hooks:   consumer.Hooks{Error: func(f consumer.Failed) { troubles.add(f.Err) }},
		})
		if err != nil {
			return err
		}
		group.Go(func() error { return workers[i].Run(ctx) })
	}
	group.Go(func() error {
		defer stop()
		if err := balanced(ctx, workers); err != nil {
			return err
		}
		for range cmp.Or(o.Count, 1) {
			if err := pause(ctx, lead); err != nil {
				return err
			}
			before, begun := requests.snapshot(), time.Now()
			if err := pause(ctx, cmp.Or(o.Seconds, 120)); err != nil {
				return err
			}
			r.result(atRest, perMinute(requests.since(before), time.Since(begun))...)
		}
		return troubles.all()
	})
	return group.Wait()
}

// balanced waits until the shards are spread over the workers.
func balanced(ctx context.Context, workers []*consumer.Consumer) error {
	for {
		all, least := 0, leaseShards
		for _, w := range workers {
			n := len(w.Status().Shards)
			all, least = all+n, min(least, n)
		}
		if all == leaseShards && least == leaseShards/leaseWorkers {
			return nil
		}
		if err := backoff.Wait(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

// perMinute tells writes, which a table bills for more, from reads, and has every operation by itself.
func perMinute(calls map[string]int64, took time.Duration) []metric {
	var reads, writes int64
	var each []metric
	for _, op := range slices.Sorted(maps.Keys(calls)) {
		n := calls[op]
		if n == 0 {
			continue
		}
		if isWrite(op) {
			writes += n
		} else {
			reads += n
		}
		each = append(each, metric{float64(n) / took.Minutes(), op + "/min"})
	}
	return append([]metric{
		{float64(writes) / took.Minutes(), "writes/min"}, {float64(reads) / took.Minutes(), "reads/min"},
	}, each...)
}

func isWrite(op string) bool {
	return strings.Contains(op, "Put") || strings.Contains(op, "Update") || strings.Contains(op, "Delete") || strings.Contains(op, "Write")
}
