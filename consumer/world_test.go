package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/memsource"
	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/memlease"
)

// world is a stream and a lease store in memory, in virtual time, and what the consumers in it were told.
type world struct {
	t      *testing.T
	source *memsource.Source
	store  *cutStore

	mu     sync.Mutex
	seen   []consumer.Record // in the order in which handlers were given them, cloned
	events []any             // of all hooks, but those of single calls
	stored map[string]checkpoint.Position
}

// inWorld runs a test in virtual time. Whatever it starts must have ended when f returns.
func inWorld(t *testing.T, cfg *memsource.Config, f func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		f(t, &world{t: t, source: memsource.New("orders", cfg), store: &cutStore{Store: memlease.New()}, stored: make(map[string]checkpoint.Position)})
	})
}

// config is a consumer that records what it handles.
func (w *world) config() consumer.Config {
	return consumer.Config{
		Name: "app", Source: w.source, Leases: w.store,
		Checkpoint: checkpoint.EveryRecord{},
		Handler: consumer.Each(func(_ context.Context, r consumer.Record) error {
			w.saw(r)
			return nil
		}),
		Hooks: consumer.Hooks{
			Assigned: func(e consumer.Assigned) { w.event(e) },
			Lost:     func(e consumer.Lost) { w.event(e) },
			Retried:  func(e consumer.Retried) { w.event(e) },
			Gap:      func(e consumer.Gap) { w.event(e) },
			Error:    func(e consumer.Failed) { w.event(e) },
			Checkpointed: func(e consumer.Checkpointed) {
				w.mu.Lock()
				defer w.mu.Unlock()
				if e.Position.Before(w.stored[e.Shard]) {
					w.t.Errorf("the position of %s went back from %s to %s", e.Shard, w.stored[e.Shard], e.Position)
				}
				w.stored[e.Shard] = e.Position
			},
		},
	}
}

func (w *world) saw(r consumer.Record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, r.Clone())
}

func (w *world) event(e any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

// values are the data of what was handled, in order.
func (w *world) values() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var vs []string
	for _, r := range w.seen {
		vs = append(vs, string(r.Data))
	}
	return vs
}

func (w *world) storedAt(shard string) checkpoint.Position {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stored[shard]
}

// told gives the events of one type so far.
func told[E any](w *world) []E {
	w.mu.Lock()
	defer w.mu.Unlock()
	var es []E
	for _, e := range w.events {
		if e, ok := e.(E); ok {
			es = append(es, e)
		}
	}
	return es
}

// put adds the records from…to-1, each with its number as data and the key "k", and gives their positions.
func (w *world) put(from, to int) []checkpoint.Position {
	w.t.Helper()
	var ps []checkpoint.Position
	for i := from; i < to; i++ {
		_, p, err := w.source.Put("k", []byte(strconv.Itoa(i)))
		if err != nil {
			w.t.Fatal(err)
		}
		ps = append(ps, p)
	}
	return ps
}

// running is a consumer that runs.
type running struct {
	*consumer.Consumer
	w      *world
	cancel context.CancelFunc
	ended  chan struct{}
	err    error
}

func (w *world) start(cfg consumer.Config) *running {
	w.t.Helper()
	c, err := consumer.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	r := &running{Consumer: c, w: w, cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		r.err = c.Run(ctx)
	}()
	w.t.Cleanup(func() { _ = r.stop() }) // of a test that failed: a bubble must not end before what is in it
	return r
}

// stop ends a consumer and gives what Run returned.
func (r *running) stop() error {
	r.cancel()
	<-r.ended
	return r.err
}

// clean stops a consumer that has nothing to complain about.
func (r *running) clean() {
	r.w.t.Helper()
	if err := r.stop(); err != nil {
		r.w.t.Errorf("Run returned %v after a clean stop", err)
	}
}

// until waits, in virtual time, until cond holds, and fails the test after a virtual day.
func (w *world) until(what string, cond func() bool) {
	w.t.Helper()
	step := 10 * time.Millisecond
	for begun := time.Now(); time.Since(begun) < 24*time.Hour; step = min(step+step/10, time.Minute) {
		synctest.Wait()
		if cond() {
			return
		}
		<-time.After(step)
	}
	w.t.Fatalf("never: %s; handled %d records, events %v", what, len(w.values()), w.events)
}

// expect waits until as many records were handled as want has, gives others the time to come, and compares.
func (w *world) expect(want []string) {
	w.t.Helper()
	w.until(fmt.Sprintf("%d records handled", len(want)), func() bool { return len(w.values()) >= len(want) })
	<-time.After(5 * time.Second)
	if got := w.values(); !slices.Equal(got, want) {
		w.t.Fatalf("handled %v, want %v", got, want)
	}
}

func numbers(from, to int) []string {
	var vs []string
	for i := from; i < to; i++ {
		vs = append(vs, strconv.Itoa(i))
	}
	return vs
}

// cutStore is a store from which the workers can be cut off.
type cutStore struct {
	lease.Store
	cut atomic.Bool
}

var errCut = errors.New("the store does not answer")

func (s *cutStore) Get(ctx context.Context, keys []string) ([]lease.Row, error) {
	if s.cut.Load() {
		return nil, errCut
	}
	return s.Store.Get(ctx, keys)
}

func (s *cutStore) List(ctx context.Context, group, after string) iter.Seq2[lease.Row, error] {
	if s.cut.Load() {
		return func(yield func(lease.Row, error) bool) { yield(lease.Row{}, errCut) }
	}
	return s.Store.List(ctx, group, after)
}

func (s *cutStore) Put(ctx context.Context, rows []lease.Row) []error {
	if s.cut.Load() {
		return slices.Repeat([]error{errCut}, len(rows))
	}
	return s.Store.Put(ctx, rows)
}

func (s *cutStore) Delete(ctx context.Context, rows []lease.Row) []error {
	if s.cut.Load() {
		return slices.Repeat([]error{errCut}, len(rows))
	}
	return s.Store.Delete(ctx, rows)
}

// slowStore takes a while for each write.
type slowStore struct{ lease.Store }

func (s slowStore) Put(ctx context.Context, rows []lease.Row) []error {
	<-time.After(20 * time.Millisecond)
	return s.Store.Put(ctx, rows)
}

// setupStore has a Setup of its own.
type setupStore struct {
	lease.Store
	setup func() error
}

func (s setupStore) Setup(context.Context) error { return s.setup() }

// countedStore counts what is written.
type countedStore struct {
	lease.Store
	puts atomic.Int64
}

func (s *countedStore) Put(ctx context.Context, rows []lease.Row) []error {
	s.puts.Add(1)
	return s.Store.Put(ctx, rows)
}
