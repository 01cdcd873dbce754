package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/lease/memlease"
)

const (
	laneRecords = 10_000
	laneKeys    = 1000
	laneWorkers = 100
	// serialRecords are handled one after the other, and what that took is scaled to laneRecords: all of them would take more than 100 s.
	serialRecords = 200
	handlerTime   = 10 * time.Millisecond
)

func wideName(side string) string { return "Lanes/handler=10ms/keys=1000/workers=100/side=" + side }

// boundUnit is a time divided by the least that it can be.
const boundUnit = "x/bound"

func zipfName() string           { return "Lanes/handler=10ms/keys=zipf/workers=100" }
func ownName(side string) string { return "Lanes/handler=none/side=" + side }

// lanes measures the orders of a consumer, and what becomes of them when a record, a key or a shard is unlike the others.
func lanes(ctx context.Context, o options, r *report) error {
	r.note("one after the other: %d records, whose time is scaled to %d", serialRecords, laneRecords)
	measure := []func(context.Context, *report) error{wide, zipf, ownCost, stuckKey, parkedKey, bisected, hotKey, hotShard}
	for range cmp.Or(o.Count, 3) {
		for _, m := range measure {
			if err := m(ctx, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// wide compares many keys side by side with one record after the other.
func wide(ctx context.Context, r *report) error {
	serial, err := handleSlowly(ctx, consumer.Order{}, numbered(laneKeys), serialRecords)
	if err != nil {
		return err
	}
	side, err := handleSlowly(ctx, consumer.Order{By: consumer.PerKey, Workers: laneWorkers}, shuffled(laneKeys, laneRecords), laneRecords)
	if err != nil {
		return err
	}
	all := serial.took.Seconds() * laneRecords / serialRecords
	r.result(wideName("serial"), metric{serialRecords / serial.took.Seconds(), "records/s"})
	r.result(wideName("lanes"),
		metric{laneRecords / side.took.Seconds(), "records/s"},
		metric{all / side.took.Seconds(), "x-serial"},
		metric{side.took.Seconds() / all * 100, "of-serial-%"},
	)
	return nil
}

// zipf has keys of very different weight. No order can be faster than the key that takes longest.
func zipf(ctx context.Context, r *report) error {
	const records = 2000
	draw := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.2, 1, laneKeys-1) //nolint:gosec // it draws keys
	names, keys := numbered(laneKeys), make([]string, records)
	for i := range keys {
		keys[i] = names[draw.Uint64()]
	}
	got, err := handleSlowly(ctx, consumer.Order{By: consumer.PerKey, Workers: laneWorkers}, keys, records)
	if err != nil {
		return err
	}
	r.result(zipfName(),
		metric{records / got.took.Seconds(), "records/s"},
		metric{got.longest.Seconds() / got.took.Seconds(), "of-bound"},
		metric{got.took.Seconds() / got.longest.Seconds(), boundUnit},
	)
	return nil
}

// ownCost is what lanes of keys cost more than the one of a shard.
func ownCost(ctx context.Context, r *report) error {
	const records = 500_000
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	spent := make(map[consumer.OrderBy]float64)
	for _, by := range []consumer.OrderBy{consumer.PerShard, consumer.PerKey} {
		source := prepare(records, 1000)
		source.keys = numbered(laneKeys)
		var before, after runtime.MemStats
		var cpu, end time.Duration
		seen := 0
		err := handleAll(ctx, source, records, consumer.Config{Order: consumer.Order{By: by}}, func(context.Context, consumer.Record) error {
			return nil
		}, func() (err error) { // a fifth of the records has been handled: what is used again is there
			seen++
			if seen == 1 {
				runtime.ReadMemStats(&before)
				cpu, _, err = processorTime()
			} else {
				end, _, err = processorTime()
				runtime.ReadMemStats(&after)
			}
			return err
		})
		if err != nil {
			return err
		}
		spent[by] = float64((end - cpu).Nanoseconds()) / (records * 4 / 5)
		r.result(ownName(by.String()), metric{spent[by], cpuUnit}, metric{float64((after.Mallocs-before.Mallocs)*10/(records*4/5)) / 10, "allocs/record"})
	}
	r.result(ownName("difference"), metric{spent[consumer.PerKey] - spent[consumer.PerShard], cpuUnit})
	return nil
}

// handleAll runs a consumer with a handler of single records until all have been handled. mark is called after a fifth of them, and after the last.
func handleAll(ctx context.Context, source consumer.Source, records int64, cfg consumer.Config, handle func(context.Context, consumer.Record) error, mark func() error) error {
	ctx, stop := context.WithTimeout(ctx, 5*time.Minute)
	defer stop()
	var troubles troubles
	fifth := newCounter(records/5, func() { troubles.note(mark()) })
	all := newCounter(records, func() {
		troubles.note(mark())
		stop()
	})
	cfg.Name, cfg.Source, cfg.Leases = "bench", source, memlease.New()
	cfg.Handler = consumer.Each(func(ctx context.Context, rec consumer.Record) error {
		if err := handle(ctx, rec); err != nil {
			return err
		}
		fifth.add(1)
		all.add(1)
		return nil
	})
	cfg.Hooks.Error = func(f consumer.Failed) { troubles.add(f.Err) }
	err := consumer.Run(ctx, cfg)
	if n := all.n.Load(); err == nil && n != records {
		err = fmt.Errorf("%d records were handled of %d", n, records)
	}
	return errors.Join(err, troubles.all())
}

// slowly is how the handling of records went that take their time.
type slowly struct {
	took    time.Duration // from the first call to the end of the last
	longest time.Duration // that the calls of one key took together
}

// keyWatch is what was seen of one key.
type keyWatch struct {
	busy bool
	last consumer.Record
	took time.Duration
}

// handleSlowly handles records, each for a while, and sees to it that no key is overtaken or in two hands.
func handleSlowly(ctx context.Context, order consumer.Order, keys []string, records int) (got slowly, err error) {
	source := prepare(records, 1000)
	source.keys = keys
	var (
		mu    sync.Mutex
		first time.Time
		watch = make(map[string]*keyWatch)
	)
	enter := func(rec consumer.Record) (k *keyWatch, begun time.Time, err error) {
		mu.Lock()
		defer mu.Unlock()
		begun = time.Now()
		if first.IsZero() {
			first = begun
		}
		if k = watch[rec.Key]; k == nil {
			k = new(keyWatch)
			watch[rec.Key] = k
		}
		if k.busy || !k.last.Position.Before(rec.Position) {
			return k, begun, fmt.Errorf("key %s: %s came after %s, or at the same time", rec.Key, rec.Position, k.last.Position)
		}
		k.busy, k.last = true, rec
		return k, begun, nil
	}
	var wrong troubles
	err = handleAll(ctx, source, int64(records), consumer.Config{Order: order}, func(ctx context.Context, rec consumer.Record) error {
		k, begun, err := enter(rec)
		if err != nil {
			wrong.add(err)
			return nil
		}
		if err := backoff.Wait(ctx, handlerTime); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		k.busy = false
		k.took += time.Since(begun)
		got.took, got.longest = time.Since(first), max(got.longest, k.took)
		return nil
	}, func() error { return nil })
	return got, errors.Join(err, wrong.first())
}

// numbered are so many keys.
func numbered(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("key-%d", i)
	}
	return keys
}

// shuffled are the keys of records, each as often as the others, in an order that is always the same.
func shuffled(keys, records int) []string {
	names, all := numbered(keys), make([]string, records)
	for i := range all {
		all[i] = names[i%keys]
	}
	rand.New(rand.NewPCG(3, 4)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] }) //nolint:gosec // it shuffles keys
	return all
}
