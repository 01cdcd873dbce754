package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/lease/memlease"
)

const (
	stuckName  = "Lanes/a-key=stuck/further=1000000"
	parkedName = "Lanes/a-key=parked/further=1000000"
	bisectName = "Lanes/batch=10000/poisons=1"
	// million is how many records follow after the first fifth, when the heap is looked at.
	million = 1_250_000
)

func hotName(what, side string) string { return "Lanes/hot=" + what + "/side=" + side }

var errPoison = errors.New("poison")

// heap is what is held in memory, when nothing is that could be freed.
func heap() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// stuckKey has a key fail until the window is full and reading has stopped, and then the next record of it, through a million records.
func stuckKey(ctx context.Context, r *report) error {
	source := prepare(million, 1000)
	source.keys = append(numbered(laneKeys-1), "stuck")
	var full, times atomic.Int64
	var before, after float64
	err := handleAll(ctx, source, million, consumer.Config{
		Order:   consumer.Order{By: consumer.PerKey},
		Failure: consumer.Failure{Backoff: time.Millisecond, MaxBackoff: time.Millisecond},
		Hooks: consumer.Hooks{Full: func(consumer.Full) {
			full.Store(1)
			times.Add(1)
		}},
	}, func(_ context.Context, rec consumer.Record) error {
		if rec.Key == "stuck" && rec.Position.Before(source.positions[million-30_000]) && !full.CompareAndSwap(1, 0) {
			return errPoison
		}
		return nil
	}, func() error {
		before, after = after, heap()
		return nil
	})
	r.result(stuckName, metric{float64(times.Load()), "full-windows"}, metric{before, "heap-B"}, metric{after - before, "grown-B"})
	return err
}

// noLetters is a store that keeps nothing, so that what is held is the consumer's own.
type noLetters struct {
	deadletter.Store
	stored func(n int)
}

func (s noLetters) Park(_ context.Context, ls []deadletter.Letter, _ bool) error {
	s.stored(len(ls))
	return nil
}

func (noLetters) Parked(context.Context, deadletter.Scope) iter.Seq2[deadletter.Parking, error] {
	return func(func(deadletter.Parking, error) bool) {}
}

// parkedKey parks a key with its first record, and follows a million records, of which one in a thousand goes to the letters.
func parkedKey(ctx context.Context, r *report) error {
	source := prepare(million, 1000)
	source.keys = append(numbered(laneKeys-1), "parked")
	var letters atomic.Int64
	var before, after float64
	err := handleAll(ctx, source, million-million/laneKeys, consumer.Config{
		Order:   consumer.Order{By: consumer.PerKey},
		Failure: consumer.Failure{Then: consumer.ParkKey, Letters: noLetters{stored: func(n int) { letters.Add(int64(n)) }}},
	}, func(_ context.Context, rec consumer.Record) error {
		if rec.Key == "parked" {
			return consumer.Permanent(errPoison)
		}
		return nil
	}, func() error {
		before, after = after, heap()
		return nil
	})
	r.result(parkedName, metric{float64(letters.Load()), "letters"}, metric{before, "heap-B"}, metric{after - before, "grown-B"})
	return err
}

// bisected has one poison in a batch of 10,000, at places that take many calls, and tells of the worst.
func bisected(ctx context.Context, r *report) error {
	most, mostFailed := 0, 0
	for _, poison := range []int{0, 4999, 5000, 6667, 9998, 9999} {
		calls, failed, err := bisect(ctx, poison)
		if err != nil {
			return err
		}
		most, mostFailed = max(most, calls), max(mostFailed, failed)
	}
	r.result(bisectName, metric{float64(mostFailed), "failing-calls"}, metric{float64(most), "calls"})
	return nil
}

func bisect(ctx context.Context, poison int) (calls, failed int, err error) {
	source := prepare(laneRecords, laneRecords)
	at := source.positions[poison]
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	left := newCounter(laneRecords, stop)
	err = consumer.Run(ctx, consumer.Config{
		Name: "bench", Source: source, Leases: memlease.New(),
		Batch:   consumer.Batch{Size: laneRecords},
		Failure: consumer.Failure{Split: consumer.Bisect, Then: consumer.Skip},
		Handler: consumer.HandlerFunc(func(_ context.Context, rs []consumer.Record) error {
			calls++
			if slices.ContainsFunc(rs, func(rec consumer.Record) bool { return rec.Position == at }) {
				failed++
				return consumer.Permanent(errPoison)
			}
			left.add(len(rs))
			return nil
		}),
		Hooks: consumer.Hooks{GivenUp: func(consumer.GivenUp) { left.add(1) }},
	})
	if n := left.n.Load(); err == nil && n != laneRecords {
		err = fmt.Errorf("%d records were handled or given up, of %d", n, laneRecords)
	}
	return calls, failed, err
}

const (
	hotWorkers   = 10
	quietRecords = 500
	hotRecords   = 4500
)

// hotKey has 100 keys with 5 records each behind 4,500 records of one key, and without these.
func hotKey(ctx context.Context, r *report) error {
	alone := prepare(quietRecords, quietRecords)
	alone.keys = numbered(100)
	both := prepare(hotRecords+quietRecords, hotRecords+quietRecords)
	for range hotRecords {
		both.keys = append(both.keys, "hot")
	}
	both.keys = append(both.keys[1:], shuffled(100, quietRecords)...)
	return hot(ctx, r, "key", many{alone}, many{both}, func(rec consumer.Record) bool { return rec.Key == "hot" })
}

// hotShard has 5 shards with 100 records each beside one with 4,500, all of many keys.
func hotShard(ctx context.Context, r *report) error {
	var alone many
	for i := range 5 {
		s := prepare(quietRecords/5, quietRecords)
		s.shard, s.keys = fmt.Sprintf("quiet-%d", i), numbered(100)
		alone = append(alone, s)
	}
	s := prepare(hotRecords, hotRecords)
	s.shard, s.keys = "hot", numbered(laneKeys)
	return hot(ctx, r, "shard", alone, append(many{s}, alone...), func(rec consumer.Record) bool { return rec.Shard == "hot" })
}

// hot compares how long it takes to handle the quiet records alone, and beside the hot ones.
func hot(ctx context.Context, r *report, what string, alone, both many, isHot func(consumer.Record) bool) error {
	quiet, _, err := quietTook(ctx, alone, isHot)
	if err != nil {
		return err
	}
	beside, all, err := quietTook(ctx, both, isHot)
	if err != nil {
		return err
	}
	r.result(hotName(what, "alone"), metric{float64(quiet), "quiet-done-ns"})
	r.result(hotName(what, "hot"), metric{float64(beside), "quiet-done-ns"}, metric{float64(all), "all-done-ns"}, metric{beside.Seconds() / quiet.Seconds(), aloneUnit})
	return nil
}

// aloneUnit is a time divided by what it is without the hot key or shard.
const aloneUnit = "x/alone"

// quietTook is how long it took from the first call to the last of a quiet record, and to the last of all.
func quietTook(ctx context.Context, source many, isHot func(consumer.Record) bool) (quiet, all time.Duration, err error) {
	var (
		mu    sync.Mutex
		begun time.Time
	)
	records := 0
	for _, s := range source {
		records += len(s.positions)
	}
	err = handleAll(ctx, source, int64(records), consumer.Config{Order: consumer.Order{By: consumer.PerKey, Workers: hotWorkers}}, func(ctx context.Context, rec consumer.Record) error {
		mu.Lock()
		if begun.IsZero() {
			begun = time.Now()
		}
		mu.Unlock()
		if err := backoff.Wait(ctx, time.Millisecond); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		all = time.Since(begun)
		if !isHot(rec) {
			quiet = all
		}
		return nil
	}, func() error { return nil })
	return quiet, all, err
}

// many are sources with one shard each, as one with many.
type many []*prepared

var _ consumer.Source = many(nil)

func (m many) Stream(ctx context.Context) (consumer.Stream, error) { return m[0].Stream(ctx) }

func (m many) Shards(context.Context, consumer.Stream) iter.Seq2[consumer.Shard, error] {
	return func(yield func(consumer.Shard, error) bool) {
		for _, s := range m {
			if !yield(consumer.Shard{ID: s.shard}, nil) {
				return
			}
		}
	}
}

func (m many) Pin(ctx context.Context, st consumer.Stream, at checkpoint.Start) (checkpoint.Start, error) {
	return m[0].Pin(ctx, st, at)
}

func (m many) Open(ctx context.Context, st consumer.Stream, shard consumer.Shard, at checkpoint.Start) (consumer.Reader, error) {
	i := slices.IndexFunc(m, func(s *prepared) bool { return s.shard == shard.ID })
	return m[i].Open(ctx, st, shard, at)
}
