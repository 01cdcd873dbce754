package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
)

// shape is a comparison of all sides on one load.
type shape struct {
	name string
	load load
}

var (
	kinesisShapes = []shape{
		{kinesis1KB, load{API: kinesisAPI, Size: 1024, Page: 1000, Shards: 8, Calls: 20}},
		{kinesis100B, load{API: kinesisAPI, Size: 100, Page: 10000, Shards: 8, Calls: 20}},
	}
	streamsShapes = []shape{
		{changes, load{API: streamsAPI, Page: 1000, Shards: 1, Calls: 64}},
	}
)

// ratioUnit is processor time divided by that of the SDK's loop in the same round.
const ratioUnit = "x/sdk"

// sides are what is compared. The first is what the others are compared with.
var sides = []string{"sdk", "runnel", "body"}

// compare measures rounds of all sides, and each side's ratio to the SDK's loop in its round.
func compare(ctx context.Context, o options, r *report, shapes []shape) error {
	r.note("one core for the reader, one for the endpoint: %t", pinned())
	for _, s := range shapes {
		s.load.Calls, s.load.Shards = cmp.Or(o.Calls, s.load.Calls), cmp.Or(o.Shards, s.load.Shards)
		if err := s.compare(ctx, o, r); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

func (s shape) compare(ctx context.Context, o options, r *report) (err error) {
	e, err := startEndpoint(ctx, s.load)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.stop()) }()
	for n := range cmp.Or(o.Count, 6) {
		if err := s.round(ctx, o, r, e, n); err != nil {
			return err
		}
	}
	return nil
}

// round measures each side once. Every round begins with another side, so that none always comes after the same one.
func (s shape) round(ctx context.Context, o options, r *report, e *endpoint, n int) error {
	used := make([]usage, len(sides))
	calls := make([]int64, len(sides))
	for i := range sides {
		side := (n + i) % len(sides)
		var err error
		if used[side], calls[side], err = s.measure(ctx, o, e, sides[side]); err != nil {
			return err
		}
	}
	for i, side := range sides {
		s.result(r, side, used[i], calls[i], used[0])
	}
	return nil
}

func (s shape) measure(ctx context.Context, o options, e *endpoint, side string) (u usage, calls int64, err error) {
	t := task{Role: side, Load: s.load}
	if o.Profile != "" {
		t.Profile = filepath.Join(o.Profile, filepath.Base(s.name)+"."+side+".pprof")
	}
	before, err := e.calls(ctx)
	if err != nil {
		return u, 0, err
	}
	if u, err = run(ctx, t, readerCore, e.env()...); err != nil {
		return u, 0, err
	}
	after, err := e.calls(ctx)
	return u, after - before, err
}

func (s shape) result(r *report, side string, u usage, calls int64, base usage) {
	n := float64(u.Records)
	r.result(s.name+"/side="+side,
		metric{u.CPU / n * 1e9, cpuUnit},
		metric{u.System / n * 1e9, "system-ns/record"},
		metric{u.CPU / base.CPU, ratioUnit},
		metric{float64(u.Allocs) / n, "allocs/record"},
		metric{float64(u.Bytes) / n, "B/record"},
		metric{n / max(1, float64(u.GCs)), "records/GC"},
		metric{float64(u.Peak), "peak-B"},
		metric{float64(u.Records+s.load.records(warmUp)) / float64(calls), "records/call"},
		metric{n / u.Wall, "records/s"},
	)
}
