package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/internal/leasemeter"
	"github.com/runnelhq/runnel/lease"
)

// fleet is the workers of one application, without records: what leases alone cost, and how fast shards find their owners.
type fleet struct {
	app     string
	shards  []lease.Shard
	store   func() lease.Store // a way to the store for one worker
	meter   leasemeter.Meter
	board   *owners
	members []*member
	errs    troubles
}

// member is one worker.
type member struct {
	name  string
	way   *way
	stop  context.CancelFunc
	ended chan struct{}
}

// owners is who works on what, and how often each shard was taken.
type owners struct {
	mu    sync.Mutex
	of    map[string]string // by shard
	takes map[string]int
	live  map[string]bool
}

func newFleet(shards int, store func() lease.Store) *fleet {
	f := &fleet{app: unique("fleet"), store: store, board: &owners{of: make(map[string]string), takes: make(map[string]int), live: make(map[string]bool)}}
	for i := range shards {
		f.shards = append(f.shards, lease.Shard{ID: fmt.Sprintf("shardId-%012d", i)})
	}
	return f
}

func (f *fleet) start(ctx context.Context, n int) error {
	for i := range n {
		m := &member{name: fmt.Sprintf("worker-%d", i+1), way: &way{Store: leasemeter.Store{Store: f.store(), Meter: &f.meter}}, ended: make(chan struct{})}
		c, err := lease.NewCoordinator(lease.Config{
			Store: m.way, App: f.app, Worker: m.name, Stream: "stream", Incarnation: "one",
			Shards: func(context.Context) iter.Seq2[lease.Shard, error] {
				return func(yield func(lease.Shard, error) bool) {
					for _, s := range f.shards {
						if !yield(s, nil) {
							return
						}
					}
				}
			},
			Pin:  func(_ context.Context, at checkpoint.Start) (checkpoint.Start, error) { return at, nil },
			Gone: func(context.Context, string) (bool, error) { return false, nil },
			Work: func(ctx context.Context, l *lease.Lease) <-chan struct{} { return f.work(ctx, m.name, l) },
			Error: func(err error) {
				if !errors.Is(err, errCut) {
					f.errs.add(err)
				}
			},
		})
		if err != nil {
			return err
		}
		f.members = append(f.members, m)
		f.board.alive(m.name, true)
		ctx, stop := context.WithCancel(ctx)
		m.stop = stop
		go func() {
			defer close(m.ended)
			if err := c.Run(ctx); err != nil && ctx.Err() == nil {
				f.errs.add(err)
			}
		}()
	}
	return nil
}

// work holds a shard until it is wanted back.
func (f *fleet) work(ctx context.Context, name string, l *lease.Lease) <-chan struct{} {
	f.board.took(l.Shard().ID, name)
	defer f.board.left(l.Shard().ID, name)
	select {
	case <-l.Draining():
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		_ = l.Release(ctx, l.Position(), l.Ahead()) // what fails is told to Config.Error
	case <-ctx.Done():
	}
	return nil
}

// end stops every worker, the dead ones too.
func (f *fleet) end() {
	for _, m := range f.members {
		m.stop()
	}
	for _, m := range f.members {
		<-m.ended
	}
}

func (b *owners) alive(name string, is bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.live[name] = is
}

func (b *owners) took(shard, name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.of[shard] = name
	b.takes[shard]++
}

func (b *owners) left(shard, name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.of[shard] == name {
		delete(b.of, shard)
	}
}

// spread tells how many shards live workers have in all, and the least and the most of one.
func (b *owners) spread() (all, least, most int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	counts := make(map[string]int)
	for _, name := range b.of {
		if b.live[name] {
			counts[name]++
			all++
		}
	}
	least = all
	for name, live := range b.live {
		if live {
			least, most = min(least, counts[name]), max(most, counts[name])
		}
	}
	return all, least, most
}

// kill cuts workers off, and gives the shards that they had.
func (f *fleet) kill(ms ...*member) map[string]int {
	for _, m := range ms {
		m.way.cut.Store(true)
		f.board.alive(m.name, false)
	}
	f.board.mu.Lock()
	defer f.board.mu.Unlock()
	orphans := make(map[string]int)
	for shard, name := range f.board.of {
		if !f.board.live[name] {
			orphans[shard] = f.board.takes[shard]
		}
	}
	return orphans
}

// until waits until is says yes, and gives how long that took.
func (f *fleet) until(ctx context.Context, what string, is func() bool) (time.Duration, error) {
	begun := time.Now()
	for !is() {
		if err := backoff.Wait(ctx, 20*time.Millisecond); err != nil {
			return 0, fmt.Errorf("%s: %w: %w", what, err, f.errs.first())
		}
		if time.Since(begun) > 5*time.Minute {
			all, least, most := f.board.spread()
			return 0, fmt.Errorf("not within 5 minutes: %s; %d shards owned, %d to %d each: %w", what, all, least, most, f.errs.first())
		}
	}
	return time.Since(begun), nil
}

func (f *fleet) owned() bool {
	all, _, _ := f.board.spread()
	return all == len(f.shards)
}

func (f *fleet) settled() bool {
	all, least, most := f.board.spread()
	return all == len(f.shards) && most-least <= 1
}

// fleetSize is a row of the results.
type fleetSize struct{ shards, workers int }

var fleetSizes = []fleetSize{{100, 3}, {1000, 10}}

// measure runs a fleet from cold, at rest, and through deaths. served gives what the server counted since an earlier look.
func (f *fleet) measure(ctx context.Context, o options, r *report, name string, workers int, served func(context.Context) (float64, error)) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer f.end()
	if err := f.start(ctx, workers); err != nil {
		return err
	}
	owned, err := f.until(ctx, "every shard owned", f.owned)
	if err != nil {
		return err
	}
	settled, err := f.until(ctx, "even load", f.settled)
	if err != nil {
		return err
	}
	if err := pause(ctx, lead); err != nil {
		return err
	}
	before, begun := f.meter.Read(), time.Now()
	servedBefore, err := served(ctx)
	if err != nil {
		return err
	}
	if err := pause(ctx, cmp.Or(o.Seconds, 60)); err != nil {
		return err
	}
	rest := f.meter.Read().Minus(before)
	servedAfter, err := served(ctx)
	if err != nil {
		return err
	}
	watched := time.Since(begun)
	metrics := []metric{{float64(owned), "cold-owned-ns"}, {float64(owned + settled), "cold-settled-ns"}}
	metrics = append(metrics, atRestMetrics(rest, watched, fleetSize{len(f.shards), workers})...)
	metrics = append(metrics, metric{(servedAfter - servedBefore) / watched.Minutes(), "served/min"})
	for _, n := range deaths(workers) {
		took, again, err := f.deaths(ctx, n)
		if err != nil {
			return err
		}
		metrics = append(metrics, deathMetrics(n, took, again)...)
	}
	r.result(name, metrics...)
	if tried := f.errs.first(); tried != nil {
		r.note("%v", tried)
	}
	return nil
}

// atRestMetrics is what a fleet at rest asked a store for in some time.
func atRestMetrics(d leasemeter.Demand, in time.Duration, size fleetSize) []metric {
	minutes, workers := in.Minutes(), float64(size.workers)
	return []metric{
		{d.Writes / minutes, "writes/min"}, {d.Writes / minutes / workers, perWorker},
		{(d.Reads + d.Listings) / minutes / workers, "reads/min/worker"},
		{d.ReadUnits / minutes, "read-units/min"}, {d.WriteUnits / minutes, "write-units/min"},
		{counterLeases(size.shards, size.workers), "counter-lease-writes/min"},
	}
}

// deathMetrics is what followed the death of n workers at once.
func deathMetrics(n int, took time.Duration, takes float64) []metric {
	return []metric{{float64(took), crash(n, "ns")}, {takes, crash(n, "takes/orphan")}}
}

func crash(n int, unit string) string { return fmt.Sprintf("crash-of-%d-%s", n, unit) }

// deaths is how many workers die at once: one, and then a tenth of them.
func deaths(workers int) []int {
	if workers < 20 {
		return []int{1}
	}
	return []int{1, workers / 10}
}

// deaths has n workers die, and gives how long their shards were without an owner and how often each was taken until the load was even again.
func (f *fleet) deaths(ctx context.Context, n int) (took time.Duration, takes float64, err error) {
	var dying []*member
	for _, m := range f.members {
		if len(dying) < n && !m.way.cut.Load() {
			dying = append(dying, m)
		}
	}
	orphans := f.kill(dying...)
	if took, err = f.until(ctx, "the orphans owned", f.owned); err != nil {
		return 0, 0, err
	}
	if _, err = f.until(ctx, "even load after deaths", f.settled); err != nil {
		return 0, 0, err
	}
	f.board.mu.Lock()
	defer f.board.mu.Unlock()
	for shard, before := range orphans {
		takes += float64(f.board.takes[shard]-before) / float64(len(orphans))
	}
	return took, takes, nil
}

// counterLeases is what leases with counters cost that each owner renews: 18.1 writes a minute a shard, and 2 a worker, as the Java KCL was measured: 589 of 32 shards and 3 workers.
func counterLeases(shards, workers int) float64 { return 18.1*float64(shards) + 2*float64(workers) }
