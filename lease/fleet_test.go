package lease_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/lease"
)

// fleet is the workers of one application on one store.
type fleet struct {
	t       *testing.T
	store   *audit
	stream  *stream
	config  func(*lease.Config) // changes what the next workers get
	wiring  func(*wire)         // changes their way to the store
	workers []*crew
}

// crew is one worker: what it works on.
type crew struct {
	f     *fleet
	name  string
	wire  *wire
	grace time.Duration // how long a release may take; 0: as long as it takes
	stop  context.CancelCauseFunc
	done  chan struct{}
	err   error

	mu     sync.Mutex
	jobs   map[string]*job
	log    []*job // every lease that it had
	errors []error
}

// job is one lease and what is done with it.
type job struct {
	*lease.Lease
	ctx    context.Context
	began  time.Time
	orders chan order
	left   chan struct{}
}

// order has a job call the lease.
type order struct {
	do     func(ctx context.Context, l *lease.Lease) error
	leave  bool // and return
	answer chan error
	still  chan struct{} // what it returns
}

func newFleet(t *testing.T, shards ...string) *fleet {
	t.Helper()
	return &fleet{t: t, store: newAudit(t), stream: newStream(shards...)}
}

// join starts a worker.
func (f *fleet) join() *crew {
	f.t.Helper()
	name := fmt.Sprintf("worker%d", len(f.workers)+1)
	w := &crew{f: f, name: name, wire: newWire(f.store, name), done: make(chan struct{}), jobs: make(map[string]*job)}
	cfg := lease.Config{
		Store: w.wire, App: "orders", Worker: w.name, Stream: "stream", Incarnation: "one",
		Shards: f.stream.list, Pin: f.stream.pin, Gone: f.stream.gone, Work: w.work,
		Error: w.failed,
	}
	if f.config != nil {
		f.config(&cfg)
	}
	if f.wiring != nil {
		f.wiring(w.wire)
	}
	c, err := lease.NewCoordinator(cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(f.t.Context())
	w.stop = cancel
	f.workers = append(f.workers, w)
	go func() {
		defer close(w.done)
		w.err = c.Run(ctx)
	}()
	return w
}

func (f *fleet) joinAll(n int) []*crew {
	f.t.Helper()
	var ws []*crew
	for range n {
		ws = append(ws, f.join())
	}
	return ws
}

// close stops every worker and waits for them.
func (f *fleet) close() {
	f.t.Helper()
	for _, w := range f.workers {
		w.wire.resume()
		w.wire.next(nil)
		w.stop(context.Canceled)
	}
	for _, w := range f.workers {
		<-w.done
		if w.err != nil {
			f.t.Errorf("%s: Run: %v", w.name, w.err)
		}
	}
}

// watch lets time pass and asserts all along that no shard has two valid leases.
func (f *fleet) watch(d time.Duration) {
	f.t.Helper()
	for range d / tick {
		f.check()
		pass(f.t, tick)
	}
	f.check()
}

// until lets time pass until something is so, for a minute at most.
func (f *fleet) until(what string, is func() bool) {
	f.t.Helper()
	for range time.Minute / tick {
		if is() {
			return
		}
		f.watch(tick)
	}
	f.t.Fatalf("after a minute: no %s", what)
}

// check asserts that no shard has two valid leases now.
func (f *fleet) check() {
	f.t.Helper()
	valid := make(map[string]*job)
	for _, w := range f.workers {
		for _, j := range w.all() {
			if !j.Valid() {
				continue
			}
			id := j.Shard().ID
			if other := valid[id]; other != nil {
				f.t.Fatalf("shard %s has two valid leases: epoch %d of %s and epoch %d of %s", id, other.Epoch(), other.Session(), j.Epoch(), j.Session())
			}
			valid[id] = j
		}
	}
}

// tick is how often leases are looked at while time passes.
const tick = 25 * time.Millisecond

// pass lets time pass.
func pass(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}

// shards is what a worker works on now, sorted.
func (w *crew) shards() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var ids []string
	for id, j := range w.jobs {
		if j.Valid() {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// job is the worker's work on a shard, nil if there is none.
func (w *crew) job(id string) *job {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.jobs[id]
}

func (w *crew) all() []*job {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.log)
}

func (w *crew) failed(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.errors = append(w.errors, err)
}

// work does what the test orders, and releases when the shard is wanted back.
func (w *crew) work(ctx context.Context, l *lease.Lease) <-chan struct{} {
	j := &job{Lease: l, ctx: ctx, began: time.Now(), orders: make(chan order), left: make(chan struct{})}
	w.mu.Lock()
	w.jobs[l.Shard().ID] = j
	w.log = append(w.log, j)
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		if w.jobs[l.Shard().ID] == j {
			delete(w.jobs, l.Shard().ID)
		}
		w.mu.Unlock()
		close(j.left)
	}()
	for {
		select {
		case o := <-j.orders:
			o.answer <- o.do(ctx, l)
			if o.leave {
				return o.still
			}
		case <-l.Draining():
			if err := w.release(ctx, l); err != nil {
				w.failed(err)
			}
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

func (w *crew) release(ctx context.Context, l *lease.Lease) error {
	if w.grace > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, w.grace)
		defer cancel()
	}
	return l.Release(ctx, l.Position(), checkpoint.Ahead{})
}

// order has the job do something, and gives its error.
func (j *job) order(do func(context.Context, *lease.Lease) error, leave bool) error {
	o := order{do: do, leave: leave, answer: make(chan error, 1)}
	select {
	case j.orders <- o:
		return <-o.answer
	case <-j.left:
		return fmt.Errorf("shard %s: its work has returned", j.Shard().ID)
	}
}

func (j *job) checkpoint(n uint64) error {
	return j.order(func(ctx context.Context, l *lease.Lease) error {
		return l.Checkpoint(ctx, checkpoint.Offset(n), checkpoint.Ahead{})
	}, false)
}

func (j *job) end(n uint64, children ...lease.Shard) error {
	return j.order(func(ctx context.Context, l *lease.Lease) error { return l.End(ctx, checkpoint.Offset(n), children) }, true)
}

// leave has the work return although a handler runs until still is closed.
func (j *job) leave(still chan struct{}) {
	o := order{do: func(context.Context, *lease.Lease) error { return nil }, leave: true, answer: make(chan error, 1), still: still}
	j.orders <- o
	if err := <-o.answer; err != nil {
		panic(err) // it does nothing
	}
}

// ids makes n names of shards.
func ids(n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("shard-%02d", i))
	}
	return out
}

// counts is how many shards each worker has, smallest first.
func counts(ws []*crew) []int {
	var out []int
	for _, w := range ws {
		out = append(out, len(w.shards()))
	}
	slices.Sort(out)
	return out
}

// noisy fails the test when something is logged above debug at rest.
type noisy struct {
	t    *testing.T
	rest *atomic.Bool
}

func (noisy) Enabled(context.Context, slog.Level) bool { return true }
func (h noisy) Handle(_ context.Context, r slog.Record) error {
	if r.Level > slog.LevelDebug && h.rest.Load() {
		h.t.Errorf("logged at rest: %s %s", r.Level, r.Message)
	}
	return nil
}
func (h noisy) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h noisy) WithGroup(string) slog.Handler      { return h }
