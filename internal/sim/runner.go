package sim

import (
	"context"
	"errors"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/internal/ground"
	"github.com/runnelhq/runnel/internal/planted"
	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/ordering"
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

	begun    time.Duration // on the monotonic clock
	first    int           // the ordinal of the shard at which the lease began; lanes count from there
	next     int           // the one to read next
	lanes    ordering.Lanes
	restored map[int]bool // what an earlier owner has done behind first
	ahead    []int        // likewise, rising
	attempts map[uint64]int
	givenUp  map[uint64]bool
	parked   map[string]bool          // keys
	learned  bool                     // which keys are parked
	listed   time.Duration            // as of when, or since when it could
	asOf     map[string]time.Duration // when the letters of a key were last asked

	fresh   int           // records that are done and not covered by a write
	since   time.Duration // when the first of them was done, on the monotonic clock
	writing bool
	failed  bool // nothing more can be stored in this epoch
	goesOn  bool // a release failed, and the lease is valid

	low     checkpoint.Position // everything before first: what the lease says, or the sink
	reused  uint64              // how many epochs of the shard the store of leases has forgotten
	sealed  bool                // the sink has said where it stands
	refused *dedup.RefusedError // by the sink: nothing more is handed out in this epoch

	calls  []*call // in flight, the oldest first
	flying int     // records in them
	left   chan struct{}
	wake   chan struct{} // a call or a write has ended
}

// call is one call of the handler, or of the store of letters.
type call struct {
	ordinals []int    // of the shard
	keys     []string // theirs
	session  string
	began    time.Duration // on the monotonic clock
}

// work is the Work of a [lease.Config].
func (r *runner) work(ctx context.Context, l *lease.Lease) (running <-chan struct{}) {
	w := r.p.w
	j := &job{
		runner: r, l: l, k: w.stream.byID[l.Shard().ID], wake: make(chan struct{}, 1),
		attempts: make(map[uint64]int), givenUp: make(map[uint64]bool), parked: make(map[string]bool), asOf: make(map[string]time.Duration),
	}
	j.begun, j.listed = r.p.mono(), w.now
	w.audit.begins(j)
	if w.plan.sink {
		j.reused = w.audit.lease(j.k.id).reused
		if !j.resume(ctx) {
			return nil
		}
	} else {
		j.low, j.first = l.Position(), w.stream.first(j.k, l.Start())
		j.restore()
	}
	j.next = j.first
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
		_ = j.l.Release(ctx, j.position(j.mark()), j.behind())
	}
	if over == isWanted {
		j.settle(ctx, writing, writers)
	}
	stop()
	if !j.returned(ctx) {
		w.counts.add("handler that was left behind")
		j.left = make(chan struct{})
		return j.left, false
	}
	if j.writing {
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
	isRefused
)

// dispatch hands out records until the shard is to be given up.
func (j *job) dispatch(ctx, handling, writing context.Context, writers ground.Group) outcome {
	w := j.p.w
	for {
		switch {
		case ctx.Err() != nil || j.failed:
			return isLost
		case j.refused != nil:
			return isRefused
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
		more, last := j.read()
		wait = min(wait, over, more, j.backoff())
		switch {
		case last && j.lanes.Len() == 0 && !j.writing && len(j.calls) == 0:
			return isOver
		case !j.free():
		case !j.learned && w.plan.then == parksKey && !planted.Is(planted.ParkedLost):
			if !j.learn(ctx) {
				wait = min(wait, j.grace/4)
				break
			}
			continue
		case !planted.Is(planted.NotValid) && !j.l.Valid():
			return isLost
		default:
			j.begin(handling)
			continue
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
	if limit := j.p.w.timing.Watchdog; limit > 0 && len(j.calls) > 0 {
		return j.calls[0].began + limit - j.p.mono()
	}
	return ground.Forever
}

// store begins a write if one is due, and gives the time until it is.
func (j *job) store(ctx context.Context, writers ground.Group) time.Duration {
	if j.writing || j.fresh == 0 {
		return ground.Forever
	}
	waits := j.every - (j.p.mono() - j.since)
	if j.every == 0 && j.fresh < j.after || j.every != 0 && waits > 0 {
		if j.every == 0 {
			return ground.Forever
		}
		return waits
	}
	p, ahead, through, records := j.mark(), j.behind(), j.done(), j.fresh
	if planted.Is(planted.Hole) && j.next > j.first {
		p, ahead = checkpoint.Offset(uint64(j.next-1)), checkpoint.Ahead{}
	}
	if !ahead.IsZero() {
		j.p.w.counts.add("stored with what is done behind")
	}
	j.writing = true
	writers.Go(func() {
		err := j.checkpoint(ctx, p, ahead)
		j.writing = false
		if err == nil {
			j.fresh -= records
			j.since = j.p.mono()
			if through > j.first {
				j.p.w.audit.stored(j, through)
			}
		} else {
			j.failed = j.refused == nil
		}
		poke(j.wake)
	})
	return ground.Forever
}

// checkpoint stores how far the shard is done, in the sink first.
func (j *job) checkpoint(ctx context.Context, mark checkpoint.Position, ahead checkpoint.Ahead) error {
	if planted.Is(planted.AdvanceAfter) {
		return errors.Join(j.l.Checkpoint(ctx, j.position(mark), ahead), j.advance(ctx, mark))
	}
	if err := j.advance(ctx, mark); err != nil {
		return err
	}
	return j.l.Checkpoint(ctx, j.position(mark), ahead)
}

// settle waits for what is in flight, for the drain at most, while positions are stored.
func (j *job) settle(ctx, writing context.Context, writers ground.Group) {
	until := j.p.mono() + j.drain
	for len(j.calls) > 0 && ctx.Err() == nil && j.p.mono() < until {
		wait := min(j.store(writing, writers), until-j.p.mono())
		_ = j.p.Wait(ctx, wait, j.wake)
	}
}

// returned waits for the handlers whose context has ended, for the grace at most.
func (j *job) returned(ctx context.Context) bool {
	until := j.p.mono() + j.grace
	for len(j.calls) > 0 && j.p.mono() < until {
		_ = j.p.Wait(context.WithoutCancel(ctx), until-j.p.mono(), j.wake)
	}
	return len(j.calls) == 0
}

// giveUp ends the epoch: END after the last record, and otherwise a release.
func (j *job) giveUp(ctx context.Context, why outcome) {
	if why == isOver && j.end(ctx) {
		return
	}
	p, ahead, through := j.position(j.mark()), j.behind(), j.done()
	if j.refused == nil {
		advancing, cancel := j.p.Limit(ctx, j.grace, context.DeadlineExceeded)
		if j.advance(advancing, j.mark()) != nil {
			p, through = j.l.Position(), j.first
		}
		cancel()
	}
	if j.refused != nil {
		j.lift(ctx)
		return
	}
	ctx, cancel := j.p.Limit(ctx, j.grace, context.DeadlineExceeded)
	defer cancel()
	err := j.l.Release(ctx, p, ahead)
	if err == nil && !ahead.IsZero() {
		j.p.w.counts.add("released with what is done behind")
	}
	j.p.w.audit.gaveUp(j, err, "release", through)
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
		err := j.advance(ctx, checkpoint.End())
		if j.refused != nil {
			return false
		}
		if err == nil {
			err = j.l.End(ctx, j.position(j.mark()), children)
		}
		if err == nil {
			w.audit.gaveUp(j, nil, "end", j.done())
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

// done is the ordinal of the shard below which all are.
func (j *job) done() int { return j.first + int(j.lanes.Watermark()) }

// mark is the position of the watermark.
func (j *job) mark() checkpoint.Position {
	if j.done() == j.first {
		return j.low
	}
	return checkpoint.Offset(uint64(j.done() - 1))
}

// position is what the lease is to say of a watermark. It never goes back, also where the sink did.
func (j *job) position(mark checkpoint.Position) checkpoint.Position {
	if stored := j.l.Position(); mark.Before(stored) {
		return stored
	}
	return mark
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
