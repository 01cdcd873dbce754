package sim

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/internal/ground"
	"github.com/runnelhq/runnel/lease"
)

// operator acts on the application from a host of its own, one thing after another. Its program may be killed in the middle: then another one ends what it began.
type operator struct {
	w      *world
	h      *host
	starts []*process
	busy   bool
}

// errand is what an operator does, and what ends it. Both may be called again and again until they have no error.
type errand struct {
	what string
	do   func(context.Context, lease.Operator) error
	undo func(context.Context, lease.Operator) error // nil: do again, until it has none
}

func newOperator(w *world) *operator {
	return &operator{w: w, h: &host{ppm: million, wall: time.Duration(epoch.UnixNano())}}
}

// act begins an errand, if there is time for it.
func (o *operator) act() {
	w := o.w
	if o.busy || w.now > w.plan.calm*7/10 || len(w.audit.leases) == 0 {
		return
	}
	o.busy = true
	e := o.errand()
	w.counts.add("operator: " + e.what)
	p := o.start(e, false)
	if w.chance(0.3) {
		w.after(w.weather.expiries(0, 3), func() {
			if !p.dead {
				w.counts.add("operator killed")
				w.trace.say(p.name, "KILL", "")
				p.die()
				w.after(w.weather.expiries(0, 2), func() { o.start(e, true) })
			}
		})
	}
}

// errand throws the dice for one.
func (o *operator) errand() errand {
	w := o.w
	some := o.shards()
	pick := w.dice.IntN(5)
	if len(some) == 0 {
		pick = 1
	}
	switch pick {
	case 0:
		return errand{"pause shards",
			func(ctx context.Context, op lease.Operator) error { return op.Pause(ctx, some...) },
			func(ctx context.Context, op lease.Operator) error {
				left := slices.DeleteFunc(slices.Clone(some), func(id string) bool { return !w.audit.leases[id].exists })
				if len(left) == 0 {
					return nil // their rows were removed
				}
				return op.Resume(ctx, left...)
			}}
	case 1:
		return errand{"pause",
			func(ctx context.Context, op lease.Operator) error { return op.PauseAll(ctx) },
			func(ctx context.Context, op lease.Operator) error { return op.ResumeAll(ctx) }}
	case 2:
		k := w.workers[w.dice.IntN(len(w.workers))]
		return errand{"drain a worker",
			func(ctx context.Context, op lease.Operator) error { return op.Drain(ctx, k.name) },
			func(ctx context.Context, op lease.Operator) error {
				a, err := op.Describe(ctx)
				for _, worker := range a.Workers {
					if err == nil && worker.Name == k.name {
						return op.Undrain(ctx, k.name)
					}
				}
				return err // its session may be gone, and the word with it
			}}
	case 3:
		some = nil
	}
	reset := lease.Reset{Shards: some, All: len(some) == 0, Held: func(_ context.Context, id string) (bool, error) { return !w.stream.byID[id].gone, nil }}
	if w.chance(0.5) {
		reset.To = checkpoint.AtTime(instant(w.between(0, w.now)))
	}
	return errand{what: "reset", do: func(ctx context.Context, op lease.Operator) error {
		generation, err := op.Reset(ctx, reset)
		if err == nil {
			w.audit.wasReset(reset, generation)
		}
		return err
	}}
}

// shards is one to three of those that have rows.
func (o *operator) shards() []string {
	var some []string
	for _, id := range o.w.audit.order() {
		if la := o.w.audit.leases[id]; la.exists && !la.removed && !la.k.gone {
			some = append(some, id)
		}
	}
	o.w.dice.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
	return some[:min(len(some), 1+o.w.dice.IntN(3))]
}

// start has a program do an errand, or only end it.
func (o *operator) start(e errand, end bool) *process {
	w := o.w
	p := newProcess(w, o.h, fmt.Sprintf("op.%d", len(o.starts)+1), uint64(len(o.starts)+1)<<8)
	o.starts = append(o.starts, p)
	op := lease.Operator{Store: link{p}, App: app, Expiry: w.timing.Expiry, Poll: w.timing.Poll / 4}
	hold := w.weather.expiries(0.2, 3)
	p.start(func() {
		ctx := ground.With(context.Background(), p)
		if !end {
			limited, cancel := p.Limit(ctx, 8*w.timing.Expiry, context.DeadlineExceeded)
			err := e.do(limited, op)
			cancel()
			w.trace.say(p.name, "operator", "%s: %v", e.what, err)
			_ = p.Wait(ctx, hold)
			end = err != nil || e.undo != nil
		}
		undo := e.undo
		if undo == nil {
			undo = e.do
		}
		for end {
			err := undo(ctx, op)
			w.trace.say(p.name, "operator", "end %s: %v", e.what, err)
			if end = err != nil; end {
				_ = p.Wait(ctx, w.timing.Poll)
			}
		}
		_ = p.Wait(ctx, 3*w.timing.Poll) // workers may yet act on what they read of it
		o.busy = false
	})
	p.schedule()
	return p
}

// wasReset is called when a reset has returned without an error.
func (a *audit) wasReset(what lease.Reset, generation uint64) {
	for _, id := range what.Shards {
		if la := a.leases[id]; la.exists && !la.k.gone && la.row.Generation < generation {
			a.w.fail("reset", "%s was reset to generation %d, and its row says %+v", id, generation, la.row)
		}
	}
}

// is tells whether a process is one of the operator's.
func (o *operator) is(p *process) bool { return p.h == o.h }
