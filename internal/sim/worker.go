package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/internal/ground"
	"github.com/runnelhq/runnel/lease"
)

// worker is a place in the fleet: a host, and the process that runs on it now, if one does.
type worker struct {
	w      *world
	name   string
	number int
	h      *host
	sleeps bool // its machine may be suspended; then its wall clock never goes back: with both, nothing would tell it how long it was away
	starts []*process
	p      *process // the last one
}

// begin makes the fleet and starts it, and has the faults and the quiet happen.
func (w *world) begin() {
	for i := range w.plan.workers {
		h := &host{ppm: million, booted: w.between(0, length*w.timing.Expiry), wall: time.Duration(epoch.UnixNano()) + w.between(0, w.timing.Expiry)}
		if d := w.plan.drift; d > 0 {
			h.ppm += w.dice.Int64N(2*d+1) - d
			if w.chance(0.3) {
				h.ppm = million - d
			} else if w.chance(0.3) {
				h.ppm = million + d
			}
		}
		if w.plan.mad && i == 0 {
			h.ppm = million * 2 / 5
		}
		k := &worker{w: w, name: fmt.Sprintf("w%d", i+1), number: i + 1, h: h, sleeps: w.chance(0.5)}
		w.workers = append(w.workers, k)
		w.at(w.between(0, 2*w.timing.Expiry), k.start)
	}
	w.weather.begin()
	w.drainer.begin()
	w.at(w.plan.calm, w.settle)
}

// up tells whether a process runs that has not been asked to stop.
func (k *worker) up() bool {
	return k.p != nil && !k.p.dead && !k.p.done && !k.p.stopped && !k.p.paused
}

// start starts a process, unless there is one.
func (k *worker) start() {
	w := k.w
	if k.p != nil && !k.p.dead || w.now >= w.plan.calm+w.plan.quiet()/8 {
		return
	}
	p := newProcess(w, k.h, fmt.Sprintf("%s.%d", k.name, len(k.starts)+1), uint64(len(k.starts)+1)<<8|uint64(k.number))
	k.p = p
	k.starts = append(k.starts, p)
	begins := checkpoint.Start{}
	if w.plan.latest {
		begins = checkpoint.Latest()
	}
	k.run(link{p}, begins, newRunner(p).work)
}

// run has the process run a coordinator.
func (k *worker) run(store lease.Store, begins checkpoint.Start, work func(context.Context, *lease.Lease) <-chan struct{}) {
	w, p := k.w, k.p
	c, err := lease.NewCoordinator(lease.Config{
		Store: store, App: app, Worker: k.name, Stream: "stream", Incarnation: "one", Start: begins,
		Shards: w.stream.list(p), Pin: w.stream.pin(p), Gone: w.stream.isGone(p),
		Work: work, Timing: w.timing, Logger: slog.New(logs{p}),
	})
	if err != nil {
		w.fail("config", "%v", err)
		return
	}
	ctx, cancel := context.WithCancel(ground.With(context.Background(), p))
	p.stop = cancel
	w.trace.say(p.name, "START", "ppm %d", k.h.ppm)
	p.start(func() {
		p.err = c.Run(ctx)
		p.done = true
		k.returned(p)
	})
	p.schedule()
}

// returned is called when the program has ended: its process ends with it, whatever still runs.
func (k *worker) returned(p *process) {
	k.w.trace.say(p.name, "EXIT", "%v", p.err)
	if !p.stopped || p.err != nil && !errors.Is(p.err, lease.ErrRunning) {
		k.w.fail("run", "%s returns %v", p.name, p.err)
	}
	k.w.audit.exited(p)
	k.w.after(0, p.die)
}

func (k *worker) kill() {
	k.w.trace.say(k.p.name, "KILL", "")
	k.p.die()
	k.w.audit.exited(k.p)
}

// leave asks the program to stop.
func (k *worker) leave() {
	k.w.trace.say(k.p.name, "STOP", "")
	k.p.stopped = true
	k.p.stop()
	k.p.schedule()
}
