//go:build engines

package redislease_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/memsource"
	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/redislease"
)

// quick has a dead worker noticed soon, and forgives a busy machine.
var quick = lease.Timing{
	Heartbeat: 100 * time.Millisecond, Expiry: 4 * time.Second, Poll: 100 * time.Millisecond,
	Request: 2 * time.Second, List: 500 * time.Millisecond, Settle: 200 * time.Millisecond,
}

// fleet runs consumers of one stream of four shards, each with a store of its own.
type fleet struct {
	t      *testing.T
	source *memsource.Source
	store  func() *redislease.Store

	mu      sync.Mutex
	handled map[string][]string // workers by record, in the order of its deliveries
}

func newFleet(t *testing.T, store func() *redislease.Store) *fleet {
	t.Helper()
	return &fleet{
		t: t, store: store, handled: map[string][]string{},
		source: memsource.New("orders", &memsource.Config{Shards: 4, Poll: 50 * time.Millisecond}),
	}
}

type member struct {
	*consumer.Consumer
	stop  context.CancelFunc
	ended chan error
}

func (f *fleet) join(name string) *member {
	f.t.Helper()
	c, err := consumer.New(consumer.Config{
		Name: "orders-index", Source: f.source, Leases: f.store(), Worker: name, Timing: quick,
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
	until(f.t, what, func(context.Context) error {
		if !ok() {
			return fmt.Errorf("not yet")
		}
		return nil
	})
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

func TestTwoWorkersShareAStreamAndHandOver(t *testing.T) {
	f := newFleet(t, func() *redislease.Store { s, _ := newStore(t, redislease.Config{}); return s })
	shared := f.store()
	f.store = func() *redislease.Store { return shared }
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
