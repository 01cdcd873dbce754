package sim

import (
	"context"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/internal/ground"
	"github.com/runnelhq/runnel/internal/planted"
	"github.com/runnelhq/runnel/lease"
)

// runner is a model of the consumer's: it is what a process does with its leases.
type runner struct {
	p      *process
	window int           // how many records may be done and not stored; 0: any number
	after  int           // a position is stored after so many records
	every  time.Duration // or after so long
	drain  time.Duration // how long what is in flight may take when a shard is wanted back
	grace  time.Duration // how long a handler may take when its context has ended, and a release
}

// newRunner throws the dice for the strategy.
func newRunner(p *process) *runner {
	t := p.w.timing
	r := &runner{p: p, drain: 3 * t.Expiry, grace: t.Request}
	switch p.dice.IntN(3) {
	case 0:
		r.window, r.after = 1, 1
	case 1:
		r.after = 2 + p.dice.IntN(6)
		r.window = 2 * r.after
	default:
		r.every = t.Expiry/4 + p.Upto(t.Expiry)
	}
	return r
}

// job is the work on one shard in one epoch.
type job struct {
	*runner
	l *lease.Lease
	k *shard

	begun   time.Duration // on the monotonic clock
	first   int           // the ordinal at which the lease began
	next    int           // the one to hand out next
	done    int           // all below are done
	stored  int           // all below are known to be stored
	since   time.Duration // when the first that is not covered by a write was done, on the monotonic clock
	writing int           // what the write under way covers; 0: there is none
	failed  bool          // nothing more can be stored in this epoch
	goesOn  bool          // a release failed, and the lease is valid

	call *call         // in flight
	wake chan struct{} // a call or a write has ended
}

// call is one call of the handler.
type call struct {
	ordinal int
	session string
	began   time.Duration // on the monotonic clock
	ended   bool
	left    chan struct{} // closed when it has returned
}

// work is the Work of a [lease.Config].
func (r *runner) work(ctx context.Context, l *lease.Lease) (running <-chan struct{}) {
	w := r.p.w
	j := &job{runner: r, l: l, k: w.stream.byID[l.Shard().ID], wake: make(chan struct{}, 1)}
	j.first = w.stream.first(j.k, l.Start())
	j.begun = r.p.mono()
	j.next, j.done, j.stored = j.first, j.first, j.first
	w.audit.began(j)
	for again := true; again; {
		running, again = j.once(ctx)
	}
	return running
}

// once works until the shard is given up. A release that failed, and after which the lease says that it is valid all the same, is no reason not to go on.
func (j *job) once(ctx context.Context) (running <-chan struct{}, again bool) {
	w := j.p.w
	handling, stop := context.WithCancel(ctx)
	defer stop()
	writing, endWriting := context.WithCancel(ctx)
	defer endWriting()
	writers := j.p.Group()
	over := j.dispatch(ctx, handling, writing, writers)
	if over == isWanted && planted.Is(planted.ReleaseFirst) {
		_ = j.l.Release(ctx, j.position(), checkpoint.Ahead{})
	}
	if over == isWanted {
		j.settle(ctx, writing, writers)
	}
	stop()
	if !j.returned(ctx) {
		w.counts.add("handler that was left behind")
		return j.call.left, false
	}
	if j.writing != 0 {
		_ = j.p.Wait(context.WithoutCancel(ctx), j.grace, j.wake)
		endWriting()
	}
	writers.Wait()
	if ctx.Err() == nil && over != isLost {
		j.giveUp(ctx, over)
		again = !j.goesOn && j.l.Valid()
		j.goesOn = true
	}
	return nil, again
}

// outcome is why nothing more is handed out.
type outcome uint8

const (
	isLost outcome = iota
	isWanted
	isStuck // the watchdog bit
	isOver  // the last record of a closed shard is done
)

// dispatch hands out records until the shard is to be given up.
func (j *job) dispatch(ctx, handling, writing context.Context, writers ground.Group) outcome {
	w := j.p.w
	for {
		switch {
		case ctx.Err() != nil || j.failed:
			return isLost
		case isClosed(j.l.Draining()) && !j.goesOn:
			w.audit.wantedBack(j)
			return isWanted
		}
		wait := j.store(writing, writers)
		over := j.overdue()
		if over <= 0 {
			w.counts.add("watchdog that bit")
			return isStuck
		}
		wait = min(wait, over)
		if j.call == nil {
			arrives, ever := w.stream.next(j.k, j.next)
			switch {
			case !ever && j.k.closed != 0 && j.writing == 0:
				return isOver
			case !ever:
			case arrives > w.now:
				wait = min(wait, arrives-w.now)
			case j.window != 0 && j.done-j.stored >= j.window:
			case !planted.Is(planted.NotValid) && !j.l.Valid():
				return isLost
			default:
				j.begin(handling)
				continue
			}
		}
		_ = j.p.Wait(ctx, wait, j.wake, j.wanted())
	}
}

// wanted is closed when the shard is wanted back; nil once the work goes on all the same.
func (j *job) wanted() <-chan struct{} {
	if j.goesOn {
		return nil
	}
	return j.l.Draining()
}

// overdue is how long until the watchdog bites.
func (j *job) overdue() time.Duration {
	if limit := j.p.w.timing.Watchdog; limit > 0 && j.call != nil {
		return j.call.began + limit - j.p.mono()
	}
	return ground.Forever
}

// begin calls the handler with the next record.
func (j *job) begin(ctx context.Context) {
	w := j.p.w
	c := &call{ordinal: j.next, session: j.l.Session(), began: j.p.mono(), left: make(chan struct{})}
	j.call = c
	j.next++
	w.audit.handles(j, c)
	quick := w.between(5*time.Millisecond, w.timing.Request/10)
	switch {
	case w.weather.strikes(w.weather.stuck):
		w.counts.add("handler that ignores its context")
		stuck := min(w.between(w.timing.Poll, 5*w.timing.Expiry), w.plan.calm-w.now)
		j.p.start(func() { j.handle(context.WithoutCancel(ctx), c, stuck) })
	case w.chance(0.02):
		j.p.start(func() { j.handle(ctx, c, w.between(w.timing.Request/10, w.timing.Expiry/2)) })
	default:
		j.handle(ctx, c, quick)
	}
}

// handle is a handler: it takes its time, and is done unless its context ends before.
func (j *job) handle(ctx context.Context, c *call, d time.Duration) {
	err := j.p.Wait(ctx, d)
	j.p.w.audit.handled(j, c, err == nil)
	c.ended = true
	close(c.left)
	if err == nil {
		if j.done == max(j.stored, j.writing) {
			j.since = j.p.mono()
		}
		j.done = c.ordinal + 1
	}
	j.call = nil
	poke(j.wake)
}

// store begins a write if one is due, and gives the time until it is.
func (j *job) store(ctx context.Context, writers ground.Group) time.Duration {
	if j.writing != 0 || j.done == j.stored {
		return ground.Forever
	}
	waits := j.every - (j.p.mono() - j.since)
	if j.every == 0 && j.done-j.stored < j.after || j.every != 0 && waits > 0 {
		if j.every == 0 {
			return ground.Forever
		}
		return waits
	}
	through := j.done
	if planted.Is(planted.Hole) {
		through = j.next
	}
	j.writing = through
	writers.Go(func() {
		err := j.l.Checkpoint(ctx, checkpoint.Offset(uint64(through-1)), checkpoint.Ahead{})
		j.writing = 0
		if err == nil {
			j.stored = through
			j.since = j.p.mono()
			j.p.w.audit.stored(j, through)
		} else {
			j.failed = true
		}
		poke(j.wake)
	})
	return ground.Forever
}

// settle waits for the handler in flight, for the drain at most, while positions are stored.
func (j *job) settle(ctx, writing context.Context, writers ground.Group) {
	until := j.p.mono() + j.drain
	for j.call != nil && ctx.Err() == nil && j.p.mono() < until {
		wait := min(j.store(writing, writers), until-j.p.mono())
		_ = j.p.Wait(ctx, wait, j.wake)
	}
}

// returned waits for the handler whose context has ended, for the grace at most.
func (j *job) returned(ctx context.Context) bool {
	until := j.p.mono() + j.grace
	for j.call != nil && j.p.mono() < until {
		_ = j.p.Wait(context.WithoutCancel(ctx), until-j.p.mono(), j.wake)
	}
	return j.call == nil
}

// giveUp ends the epoch: END after the last record, and otherwise a release.
func (j *job) giveUp(ctx context.Context, why outcome) {
	if why == isOver && j.end(ctx) {
		return
	}
	ctx, cancel := j.p.Limit(ctx, j.grace, context.DeadlineExceeded)
	defer cancel()
	j.p.w.audit.gaveUp(j, j.l.Release(ctx, j.position(), checkpoint.Ahead{}), "release")
}

// end marks the shard as ended, and tries again until that is stored or the shard is wanted back.
func (j *job) end(ctx context.Context) bool {
	w := j.p.w
	var children []lease.Shard
	if w.weather.strikes(w.weather.unborn) {
		w.counts.add("end that names no children")
	} else {
		for _, c := range j.k.children {
			children = append(children, c.listed())
		}
	}
	for {
		err := j.l.End(ctx, j.position(), children)
		if err == nil {
			w.audit.gaveUp(j, nil, "end")
			return true
		}
		if !j.l.Valid() {
			return true
		}
		if isClosed(j.l.Draining()) {
			return false
		}
		_ = j.p.Wait(ctx, j.grace/4)
	}
}

func (j *job) position() checkpoint.Position {
	if j.done == j.first {
		return j.l.Position()
	}
	return checkpoint.Offset(uint64(j.done - 1))
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
