package sqllease_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/memsource"
	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/lease"
)

const workerShards = 4

// quick has a dead worker noticed soon, and forgives a busy machine.
var quick = lease.Timing{
	Heartbeat: 100 * time.Millisecond, Expiry: 4 * time.Second, Poll: 100 * time.Millisecond,
	Request: 2 * time.Second, List: 500 * time.Millisecond, Settle: 200 * time.Millisecond,
}

// beWorker stores positions of its shards without end, and says "shard epoch position" for each that was stored.
func beWorker(ctx context.Context, at string) error {
	db, store, err := connect(at)
	if err != nil {
		return err
	}
	coordinator, err := lease.NewCoordinator(lease.Config{
		Store: store, App: "orders", Stream: "orders", Timing: quick,
		Shards: func(context.Context) iter.Seq2[lease.Shard, error] {
			return func(yield func(lease.Shard, error) bool) {
				for i := range workerShards {
					if !yield(lease.Shard{ID: fmt.Sprintf("shard-%d", i)}, nil) {
						return
					}
				}
			}
		},
		Pin:  func(_ context.Context, at checkpoint.Start) (checkpoint.Start, error) { return at, nil },
		Gone: func(context.Context, string) (bool, error) { return false, nil },
		Work: func(ctx context.Context, l *lease.Lease) <-chan struct{} {
			n, _ := l.Start().Position().Offset()
			for l.Valid() {
				n++
				if err := l.Checkpoint(ctx, checkpoint.Offset(n), checkpoint.Ahead{}); err != nil {
					break
				}
				fmt.Printf("%s %d %d\n", l.Shard().ID, l.Epoch(), n)
			}
			return nil
		},
		Error: func(err error) { fmt.Fprintln(os.Stderr, err) },
	})
	if err != nil {
		return err
	}
	return errors.Join(coordinator.Run(ctx), db.Close())
}

// stored is a position that a worker said to have stored.
type stored struct{ epoch, position uint64 }

// reach reads what a worker says until it has stored n positions of every shard, and has the last of each.
func reach(t *testing.T, p *process, n int) map[string]stored {
	t.Helper()
	last, times := map[string]stored{}, map[string]int{}
	for enough := 0; enough < workerShards; {
		shard, at := positionIn(t, p.line(t))
		last[shard] = at
		if times[shard]++; times[shard] == n {
			enough++
		}
	}
	return last
}

func positionIn(t *testing.T, line string) (shard string, at stored) {
	t.Helper()
	if _, err := fmt.Sscan(line, &shard, &at.epoch, &at.position); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return shard, at
}

func TestShardsOfAKilledProcessGoOnInAnother(t *testing.T) { killAWorker(t, newFile(t)) }

// killAWorker kills a process that works on shards, and wants another to go on.
func killAWorker(t *testing.T, at string) {
	t.Helper()
	one := start(t, "worker", at)
	last := reach(t, one, 3)
	for line := range strings.Lines(one.kill(t)) {
		if strings.HasSuffix(line, "\n") {
			shard, at := positionIn(t, line)
			last[shard] = at
		}
	}
	other := start(t, "worker", at)
	first := reach(t, other, 1)
	for shard, was := range last {
		if is := first[shard]; is.epoch <= was.epoch || is.position <= was.position {
			t.Errorf("%s: the second process is in epoch %d at %d, the first was in %d at %d", shard, is.epoch, is.position, was.epoch, was.position)
		}
	}
	other.kill(t)
}

// fleet runs consumers of one stream on one place, each with a pool of its own.
type fleet struct {
	t      *testing.T
	source *memsource.Source
	at     string

	mu      sync.Mutex
	handled map[string][]string // workers by record, in the order of its deliveries
}

type member struct {
	*consumer.Consumer
	stop  context.CancelFunc
	ended chan error
}

func (f *fleet) join(name string) *member {
	f.t.Helper()
	_, store := connected(f.t, f.at)
	c, err := consumer.New(consumer.Config{
		Name: "orders-index", Source: f.source, Leases: store, Worker: name, Timing: quick,
		Handler: consumer.Each(func(_ context.Context, r consumer.Record) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.handled[string(r.Data)] = append(f.handled[string(r.Data)], name)
			return nil
		}),
	})
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	m := &member{c, stop, make(chan error, 1)}
	go func() { m.ended <- c.Run(ctx) }()
	f.t.Cleanup(func() { m.leave(f.t) })
	return m
}

// leave stops a worker cleanly. It may be called again.
func (m *member) leave(t *testing.T) {
	t.Helper()
	m.stop()
	if err := <-m.ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	m.ended <- nil
}

// until waits for ok.
func (f *fleet) until(what string, ok func() bool) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), 30*time.Second)
	defer cancel()
	for !ok() {
		if err := backoff.Wait(ctx, 20*time.Millisecond); err != nil {
			f.t.Fatalf("%s: not within 30 s", what)
		}
	}
}

// put puts n records, and waits until each was handled.
func (f *fleet) put(phase string, n int) {
	f.t.Helper()
	for i := range n {
		if _, _, err := f.source.Put(fmt.Sprintf("key-%d", i), fmt.Appendf(nil, "%s-%d", phase, i)); err != nil {
			f.t.Fatal(err)
		}
	}
	f.until("all records of "+phase, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		for i := range n {
			if f.handled[fmt.Sprintf("%s-%d", phase, i)] == nil {
				return false
			}
		}
		return true
	})
}

func TestTwoWorkersShareAStreamAndHandOver(t *testing.T) { shareAndHandOver(t, newFile(t)) }

func shareAndHandOver(t *testing.T, at string) {
	t.Helper()
	f := &fleet{t: t, at: at, handled: map[string][]string{}, source: memsource.New("orders", &memsource.Config{Shards: 4, Poll: 50 * time.Millisecond})}
	one := f.join("one")
	f.until("all shards of one worker", func() bool { return len(one.Status().Shards) == 4 })
	f.put("alone", 40)
	two := f.join("two")
	f.until("two shards of each", func() bool { return len(one.Status().Shards) == 2 && len(two.Status().Shards) == 2 })
	f.put("both", 80)
	one.leave(t)
	f.until("all shards of the other", func() bool { return len(two.Status().Shards) == 4 })
	f.put("other", 40)
	two.leave(t)

	workers := map[string]map[string]int{}
	for record, by := range f.handled {
		if len(by) != 1 {
			t.Errorf("%s was handled by %q; want once, for all stops were clean", record, by)
		}
		phase, _, _ := strings.Cut(record, "-")
		if workers[phase] == nil {
			workers[phase] = map[string]int{}
		}
		workers[phase][by[0]]++
	}
	if w := workers["alone"]; w["two"] > 0 {
		t.Errorf("handled before the second worker came: %v", w)
	}
	if w := workers["both"]; w["one"] == 0 || w["two"] == 0 {
		t.Errorf("handled while there were two: %v; want records of each", w)
	}
	if w := workers["other"]; w["one"] > 0 {
		t.Errorf("handled after the first worker left: %v", w)
	}
}
