package instants

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
)

// Of is s, watched if the environment says so.
func Of[E any](s dedup.Effects[E]) dedup.Effects[E] {
	text, ok := os.LookupEnv(Variable)
	if !ok {
		return s
	}
	var t Task
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", Variable, err)
		die()
	}
	o := newOrders(say)
	go func() { // it has no end but that of the process
		o.obey(os.Stdin)
		die()
	}()
	return watch(s, t, o)
}

func watch[E any](s dedup.Effects[E], t Task, o *orders) dedup.Effects[E] {
	if t.Unmarked {
		s = unmarked[E]{s}
	}
	return &watched[E]{Effects: s, worker: t.Worker, orders: o}
}

// watched tells of each call, and has it wait where that is wanted.
type watched[E any] struct {
	dedup.Effects[E]
	worker string
	orders *orders
}

func (w *watched[E]) of(m dedup.Mark) Event {
	return Event{Worker: w.worker, Shard: m.Shard, Epoch: m.Epoch}
}

// Setup is the sink's.
func (w *watched[E]) Setup(ctx context.Context) error { return setup(ctx, w.Effects) }

// Validate is the sink's.
func (w *watched[E]) Validate() error { return validate(w.Effects) }

// Seal is the sink's.
func (w *watched[E]) Seal(ctx context.Context, m dedup.Mark) (checkpoint.Position, error) {
	low, err := w.Effects.Seal(ctx, m)
	e := w.of(m)
	if err != nil {
		w.refused(e, err)
		return low, err
	}
	e.Kind, e.Ahead = Seal, m.Position.Before(low)
	w.orders.tell(e)
	w.orders.at(Sealed, e)
	return low, nil
}

// Advance is the sink's.
func (w *watched[E]) Advance(ctx context.Context, m dedup.Mark) error {
	e, err := w.of(m), w.Effects.Advance(ctx, m)
	if err != nil {
		w.refused(e, err)
		return err
	}
	if m.Position.IsEnd() {
		e.Kind = End
		w.orders.tell(e)
	}
	w.orders.at(Advanced, e)
	return nil
}

// Apply is the sink's.
func (w *watched[E]) Apply(ctx context.Context, ms []dedup.Mark, f func(e E, fresh []int) error) error {
	if len(ms) == 0 {
		return w.Effects.Apply(ctx, ms, f)
	}
	told := w.of(ms[0])
	told.Kind, told.Records = Deliver, len(ms)
	w.orders.tell(told)
	w.orders.at(Before, told)
	n := 0
	err := w.Effects.Apply(ctx, ms, func(e E, fresh []int) error {
		n = len(fresh)
		if err := f(e, fresh); err != nil {
			return err
		}
		w.orders.at(Inside, told)
		return nil
	})
	if err != nil {
		w.refused(told, err)
		return err
	}
	told.Kind, told.Fresh = Apply, n
	w.orders.tell(told)
	w.orders.at(Committed, told)
	return nil
}

func (w *watched[E]) refused(e Event, err error) {
	e.Kind, e.Text = Refuse, err.Error()
	w.orders.tell(e)
}

// unmarked is a sink to which everything is new, as if there were no marks: each call has marks of its own, that nothing is compared with.
type unmarked[E any] struct{ dedup.Effects[E] }

// Setup is the sink's.
func (u unmarked[E]) Setup(ctx context.Context) error { return setup(ctx, u.Effects) }

// Validate is the sink's.
func (u unmarked[E]) Validate() error { return validate(u.Effects) }

// Seal fences nobody: the work resumes where the lease stands.
func (u unmarked[E]) Seal(_ context.Context, m dedup.Mark) (checkpoint.Position, error) {
	return m.Position, nil
}

// Advance does nothing.
func (u unmarked[E]) Advance(context.Context, dedup.Mark) error { return nil }

// Bury does nothing.
func (u unmarked[E]) Bury(context.Context, []dedup.Mark) error { return nil }

// Apply applies, whatever was applied before.
func (u unmarked[E]) Apply(ctx context.Context, ms []dedup.Mark, f func(e E, fresh []int) error) error {
	own := make([]dedup.Mark, len(ms))
	app := rand.Text()
	for i, m := range ms {
		m.App, m.Scope = app, dedup.PerID
		own[i] = m
	}
	return u.Effects.Apply(ctx, own, f)
}

func setup(ctx context.Context, s any) error {
	if s, ok := s.(interface {
		Setup(ctx context.Context) error
	}); ok {
		return s.Setup(ctx)
	}
	return nil
}

func validate(s any) error {
	if s, ok := s.(interface{ Validate() error }); ok {
		return s.Validate()
	}
	return nil
}
