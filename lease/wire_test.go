package lease_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/runnelhq/runnel/lease"
)

// wire is one worker's way to a store, with the faults of a test.
type wire struct {
	store lease.Store

	mu       sync.Mutex
	writes   map[string]int // answered without an error, by kind of row
	hanging  chan struct{}  // not nil: calls wait until it is closed or their ctx ends
	failing  error          // not nil: calls fail with it at once and are not applied
	fault    func(op string, row lease.Row) fault
	late     []func() // writes that were given up and are not applied yet
	requests int
	latency  time.Duration         // of each call
	calls    []int                 // how many shards each Put had
	lists    map[string]int        // listings, by group
	noGet    string                // reads of this kind of row fail
	gets     map[string]int        // when each key was last read, by the count of requests
	took     func(row lease.Row)   // told of each write before it is sent
	noList   bool                  // listings fail
	alone    bool                  // listings of members and sessions leave out all but its own
	self     string                // the name of its worker
	hide     func(key string) bool // what listings leave out
}

// fault is what happens to the write of one row.
type fault int

const (
	noFault    fault = iota
	lostAnswer       // applied, but the answer is an error
	failed           // not applied, and the answer is an error
	conflicted       // applied, and the answer is ErrConflict: the client retried its own success
	delayed          // not applied now but when the test says so, and the answer is an error
	duplicated       // applied, and once more when the test says so
	throttled        // not applied, and the answer says so at once
	stuck            // not applied, and no answer before the call ends
)

var (
	errLost      = errors.New("the answer was lost")
	errFailed    = errors.New("the store failed")
	errThrottled = errors.New("throughput exceeded")
)

func newWire(s lease.Store, self string) *wire {
	return &wire{store: s, self: self, writes: make(map[string]int), gets: make(map[string]int), lists: make(map[string]int)}
}

func (w *wire) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// hang has every call wait until resume.
func (w *wire) hang() { w.set(func() { w.hanging = make(chan struct{}) }) }

func (w *wire) resume() {
	w.set(func() {
		if w.hanging != nil {
			close(w.hanging)
		}
		w.hanging, w.failing = nil, nil
	})
}

// fail has every call fail at once.
func (w *wire) fail(err error) { w.set(func() { w.failing = err }) }

// next has f say what happens to each row's write.
func (w *wire) next(f func(op string, row lease.Row) fault) { w.set(func() { w.fault = f }) }

// once has the first write for which is says yes end with f, and gives a channel that is closed then.
func (w *wire) once(f fault, is func(op string, row lease.Row) bool) <-chan struct{} {
	done := make(chan struct{})
	fired := false
	w.next(func(op string, row lease.Row) fault {
		if fired || !is(op, row) {
			return noFault
		}
		fired = true
		close(done)
		return f
	})
	return done
}

// land applies the writes that are late.
func (w *wire) land() {
	w.mu.Lock()
	late := w.late
	w.late = nil
	w.mu.Unlock()
	for _, f := range late {
		f()
	}
}

func (w *wire) written(kind string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.writes[kind]
}

func (w *wire) enter(ctx context.Context) error {
	w.mu.Lock()
	hanging, failing, latency := w.hanging, w.failing, w.latency
	w.requests++
	w.mu.Unlock()
	if latency > 0 {
		timer := time.NewTimer(latency)
		defer timer.Stop()
		<-timer.C
	}
	if hanging != nil {
		select {
		case <-hanging:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return failing
}

func (w *wire) Setup(ctx context.Context) error {
	if err := w.enter(ctx); err != nil {
		return err
	}
	return w.store.Setup(ctx)
}

func (w *wire) Get(ctx context.Context, keys []string) ([]lease.Row, error) {
	if err := w.enter(ctx); err != nil {
		return nil, err
	}
	w.mu.Lock()
	noGet := w.noGet
	for _, key := range keys {
		w.gets[key] = w.requests
	}
	w.mu.Unlock()
	if noGet != "" && slices.ContainsFunc(keys, func(key string) bool { return kind(key) == noGet }) {
		return nil, errFailed
	}
	return w.store.Get(ctx, keys)
}

func (w *wire) List(ctx context.Context, group, after string) iter.Seq2[lease.Row, error] {
	return func(yield func(lease.Row, error) bool) {
		if err := w.enter(ctx); err != nil {
			yield(lease.Row{}, err)
			return
		}
		w.mu.Lock()
		w.lists[group]++
		noList := w.noList
		w.mu.Unlock()
		if noList {
			yield(lease.Row{}, errFailed)
			return
		}
		for row, err := range w.store.List(ctx, group, after) {
			if w.alone && kind(row.Key) != "S" && !strings.Contains(row.Key, w.self) {
				continue
			}
			if w.hides(row.Key) {
				continue
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

func (w *wire) hides(key string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.hide != nil && w.hide(key)
}

func (w *wire) Put(ctx context.Context, rows []lease.Row) []error {
	return w.each(ctx, "put", rows, w.store.Put)
}

func (w *wire) Delete(ctx context.Context, rows []lease.Row) []error {
	return w.each(ctx, "delete", rows, w.store.Delete)
}

func (w *wire) each(ctx context.Context, op string, rows []lease.Row, do func(context.Context, []lease.Row) []error) []error {
	entered := w.enter(ctx)
	errs := make([]error, len(rows))
	if n := len(rows); op == "put" && n > 0 && kind(rows[0].Key) == "S" {
		w.set(func() { w.calls = append(w.calls, n) })
	}
	for i, row := range rows {
		if errs[i] = errors.Join(entered, ctx.Err()); errs[i] == nil {
			errs[i] = w.one(ctx, op, row, do)
		}
	}
	return errs
}

func (w *wire) one(ctx context.Context, op string, row lease.Row, do func(context.Context, []lease.Row) []error) error {
	w.mu.Lock()
	if w.took != nil {
		w.took(row)
	}
	f := noFault
	if w.fault != nil {
		f = w.fault(op, row)
	}
	w.mu.Unlock()
	apply := func() error {
		errs := do(context.WithoutCancel(ctx), []lease.Row{row})
		if errs == nil {
			return nil
		}
		return errs[0]
	}
	later := func() {
		w.mu.Lock()
		w.late = append(w.late, func() { _ = apply() })
		w.mu.Unlock()
	}
	switch f {
	case failed:
		return errFailed
	case throttled:
		return errThrottled
	case stuck:
		<-ctx.Done()
		return context.Cause(ctx)
	case delayed:
		later()
		return fmt.Errorf("%w: %w", errLost, context.DeadlineExceeded)
	case lostAnswer:
		_ = apply()
		return errLost
	case conflicted:
		_ = apply()
		return lease.ErrConflict
	case duplicated:
		later()
	case noFault:
	}
	err := apply()
	if err == nil {
		w.mu.Lock()
		w.writes[kind(row.Key)]++
		w.mu.Unlock()
	}
	return err
}

// kind is W, M, S or A.
func kind(key string) string {
	if strings.HasPrefix(key, "W/") {
		return "W"
	}
	return strings.Split(key, "/")[1]
}
