package leasetest

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"

	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/lease"
)

var (
	errThrottled = errors.New("throttled")
	errNoAnswer  = errors.New("no answer")
)

// wire is a store whose service is another, in memory, at the end of a line.
type wire struct {
	service lease.Store

	mu       sync.Mutex
	fault    Fault
	released chan struct{}
	late     sync.WaitGroup
}

func (w *wire) Faults() []Fault { return []Fault{None, Cut, Lost, Late, Slow, Throttled} }

func (w *wire) Set(f Fault) {
	w.mu.Lock()
	w.fault = f
	if w.released != nil {
		close(w.released)
		w.released = nil
	}
	if f == Late {
		w.released = make(chan struct{})
	}
	w.mu.Unlock()
	if f != Late {
		w.late.Wait()
	}
}

// send is what the line does to a request that is sent now.
func (w *wire) send() (Fault, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fault == Late {
		w.late.Add(1)
	}
	return w.fault, w.released
}

// carry has the service serve, as the line allows.
func (w *wire) carry(ctx context.Context, serve func(context.Context)) error {
	fault, released := w.send()
	switch fault {
	case Cut:
		return errCut
	case Throttled:
		return errThrottled
	case Lost:
		serve(ctx)
		return errNoAnswer
	case Slow:
		serve(ctx)
		return backoff.Wait(ctx, SlowBy)
	case Late:
		served := make(chan struct{})
		go func() {
			defer w.late.Done()
			<-released
			serve(context.WithoutCancel(ctx))
			close(served)
		}()
		select {
		case <-served:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	default:
		serve(ctx)
	}
	if now := w.now(); now == Cut || now == Lost {
		return errNoAnswer
	}
	return nil
}

func (w *wire) now() Fault {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.fault
}

func (w *wire) Setup(ctx context.Context) error {
	answers := make(chan error, 1)
	if err := w.carry(ctx, func(ctx context.Context) { answers <- w.service.Setup(ctx) }); err != nil {
		return err
	}
	return <-answers
}

func (w *wire) Get(ctx context.Context, keys []string) ([]lease.Row, error) {
	type answer struct {
		rows []lease.Row
		err  error
	}
	answers := make(chan answer, 1)
	if err := w.carry(ctx, func(ctx context.Context) {
		rows, err := w.service.Get(ctx, keys)
		answers <- answer{rows, err}
	}); err != nil {
		return nil, err
	}
	a := <-answers
	return a.rows, a.err
}

func (w *wire) List(ctx context.Context, group, after string) iter.Seq2[lease.Row, error] {
	return func(yield func(lease.Row, error) bool) {
		if err := w.carry(ctx, func(context.Context) {}); err != nil {
			yield(lease.Row{}, err)
			return
		}
		w.service.List(ctx, group, after)(yield)
	}
}

func (w *wire) Put(ctx context.Context, rows []lease.Row) []error {
	return w.write(ctx, rows, w.service.Put)
}

func (w *wire) Delete(ctx context.Context, rows []lease.Row) []error {
	return w.write(ctx, rows, w.service.Delete)
}

func (w *wire) write(ctx context.Context, rows []lease.Row, apply func(context.Context, []lease.Row) []error) []error {
	answers := make(chan []error, 1)
	rows = slices.Clone(rows)
	if err := w.carry(ctx, func(ctx context.Context) { answers <- apply(ctx, rows) }); err != nil {
		return slices.Repeat([]error{err}, len(rows))
	}
	return <-answers
}
