package sim

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/internal/failure"
	"github.com/runnelhq/runnel/internal/ground"
	"github.com/runnelhq/runnel/internal/planted"
)

// held is how many records of a shard a job has in memory at most.
const held = 24

// restore takes in what an earlier owner has done behind the position, if the first record is the one for which that was written.
func (j *job) restore() {
	a := j.l.Ahead()
	if a.IsZero() || a.First() != checkpoint.Offset(uint64(j.first)) && !planted.Is(planted.AheadOthers) {
		return
	}
	j.p.w.counts.add("began with what is done behind")
	j.restored = make(map[int]bool)
	for n := range a.All() {
		j.restored[j.first+n] = true
		j.ahead = append(j.ahead, j.first+n)
	}
}

// behind is what is done behind the position, read again or not. With a sink it is the sink that knows.
func (j *job) behind() checkpoint.Ahead {
	if j.p.w.plan.sink {
		return checkpoint.Ahead{}
	}
	low := j.done()
	return checkpoint.NewAhead(checkpoint.Offset(uint64(low)), func(yield func(int) bool) {
		for n := range j.lanes.Above() {
			if !yield(n) {
				return
			}
		}
		for _, n := range j.ahead {
			if n >= j.next && !yield(n-low) {
				return
			}
		}
	})
}

// read puts records that have arrived into their lanes. It gives the time until the next one, and tells whether there is none any more.
func (j *job) read() (wait time.Duration, last bool) {
	w := j.p.w
	for j.lanes.Len() < held {
		arrives, ever := w.stream.next(j.k, j.next)
		switch {
		case !ever:
			return ground.Forever, j.k.closed != 0
		case arrives > w.now:
			return arrives - w.now, false
		case j.restored[j.next]:
			j.lanes.Pass()
		default:
			j.lanes.Add(j.laneOf(j.next))
		}
		j.next++
	}
	w.counts.add("full window")
	return ground.Forever, false
}

// laneOf is by what a record is ordered.
func (j *job) laneOf(n int) string {
	w := j.p.w
	if w.plan.sink && w.plan.scope == dedup.PerShard {
		return j.k.id
	}
	return w.stream.key(j.k, n)
}

// backoff readies lanes whose time has come, and gives the time until the next one's.
func (j *job) backoff() time.Duration {
	now := j.p.mono()
	j.lanes.Wake(int64(now))
	if until, waits := j.lanes.Next(); waits {
		return time.Duration(until) - now
	}
	return ground.Forever
}

// free tells whether a record may be handed out, as far as lanes, workers and the strategy have it.
func (j *job) free() bool {
	return j.lanes.Ready() > 0 && len(j.calls) < j.p.w.plan.calls && j.room() > 0
}

// room is how many records may be handed out.
func (j *job) room() int {
	if j.window == 0 {
		return held
	}
	return j.window - j.fresh - j.flying
}

// learn asks which keys are parked, before the first record is handed out.
func (j *job) learn(ctx context.Context) bool {
	keys, at, err := box{j.p}.parked(ctx)
	if err != nil {
		return false
	}
	for _, key := range keys {
		j.parked[key] = true
	}
	if slices.ContainsFunc(keys, func(key string) bool { return slices.Contains(j.k.keys, key) }) {
		j.p.w.counts.add("shard that begins with a parked key")
	}
	j.learned, j.listed = true, at
	return true
}

// begin calls the handler with records that are ready, and has those written as letters that are not for it any longer.
func (j *job) begin(ctx context.Context) {
	w := j.p.w
	handler, letters := j.call(), j.call()
	for _, o := range j.lanes.Take(nil, min(w.plan.batch, j.room()), nil) {
		n := j.first + int(o)
		c, key := handler, w.stream.key(j.k, n)
		if j.givenUp[o] || j.parked[key] {
			c = letters
		}
		c.ordinals, c.keys = append(c.ordinals, n), append(c.keys, key)
	}
	if len(letters.ordinals) > 0 {
		j.fly(letters)
		j.p.start(func() { j.post(ctx, letters) })
	}
	if len(handler.ordinals) == 0 {
		return
	}
	j.fly(handler)
	w.audit.handles(j, handler)
	quick := w.between(5*time.Millisecond, w.timing.Request/10)
	switch {
	case w.weather.strikes(w.weather.stuck):
		w.counts.add("handler that ignores its context")
		stuck := min(w.between(w.timing.Poll, 5*w.timing.Expiry), w.plan.calm-w.now)
		j.p.start(func() { j.handle(context.WithoutCancel(ctx), handler, stuck) })
	case w.chance(0.02):
		j.p.start(func() { j.handle(ctx, handler, w.between(w.timing.Request/10, w.timing.Expiry/2)) })
	case w.plan.calls == 1:
		j.handle(ctx, handler, quick)
	default:
		j.p.start(func() { j.handle(ctx, handler, quick) })
	}
}

func (j *job) call() *call { return &call{session: j.l.Session(), began: j.p.mono()} }

func (j *job) fly(c *call) {
	j.calls = append(j.calls, c)
	j.flying += len(c.ordinals)
}

// landed is called when a call has returned.
func (j *job) landed(c *call) {
	j.calls = slices.DeleteFunc(j.calls, func(other *call) bool { return other == c })
	j.flying -= len(c.ordinals)
	if len(j.calls) == 0 && j.left != nil {
		close(j.left)
	}
	poke(j.wake)
}

// handle is a handler: it takes its time, and is done unless its context ends before, or one of its records cannot be handled.
func (j *job) handle(ctx context.Context, c *call, d time.Duration) {
	err := j.p.Wait(ctx, d)
	var fails, panics bool
	for _, n := range c.ordinals {
		failed, panicked := j.p.w.stream.fails(j.k, n)
		fails, panics = fails || failed, panics || panicked
	}
	if err == nil && j.p.w.plan.sink {
		err = j.apply(ctx, c)
		fails, panics, err = j.judge(err)
	}
	j.p.w.audit.handled(j, c, err == nil && !fails)
	switch {
	case err != nil: // it was no attempt
		for _, n := range c.ordinals {
			j.lanes.Return(j.lane(n))
		}
	case !fails, panics && planted.Is(planted.PanicDone):
		j.finish(c.ordinals)
	default:
		j.p.w.audit.fails(j, c)
		j.fails(c)
	}
	j.landed(c)
}

// judge tells of what the sink said whether the handler failed, and panicked, or why the call was no attempt.
func (j *job) judge(err error) (fails, panics bool, why error) {
	var undone *dedup.RolledBackError
	switch {
	case errors.As(err, &undone):
		j.p.w.counts.add("effects undone")
		return true, errors.Is(err, errPanic), nil
	case errors.Is(err, dedup.ErrOutOfOrder):
		j.p.w.fail("order", "%s is told by the sink that %v", j.p.name, err)
	case err != nil && planted.Is(planted.FailOpen) && !j.refuses(err):
		return false, false, nil
	}
	j.refuses(err)
	return false, false, err
}

// lane is the ordinal in the lanes.
func (j *job) lane(n int) uint64 { return uint64(n - j.first) }

// finish says that records are done.
func (j *job) finish(ns []int) {
	if j.fresh == 0 {
		j.since = j.p.mono()
	}
	j.fresh += len(ns)
	for _, n := range ns {
		j.lanes.Done(j.lane(n))
	}
	j.p.w.audit.finished(j, ns)
}

// policy decides about what failed.
func (j *job) policy() failure.Policy {
	w := j.p.w
	p := failure.Policy{Backoff: backoff.Policy{Base: w.timing.Request / 8, Cap: w.timing.Expiry}, Bisect: w.plan.batch > 1}
	if w.plan.then != blocks {
		p.MaxAttempts = w.plan.attempts
	}
	return p
}

// fails is called when the handler says that its records failed.
func (j *job) fails(c *call) {
	p, f := j.policy(), failure.Failure{Records: len(c.ordinals)}
	for i, n := range c.ordinals {
		if a := j.attempts[j.lane(n)] + 1; i == 0 || a < f.Attempt {
			f.Attempt = a
		}
	}
	if p.Splits(f) {
		j.p.w.counts.add("call that is halved")
	}
	next := p.Next(f, j.p.dice.Float64())
	for _, n := range c.ordinals {
		o := j.lane(n)
		if p.Exhausted(f, j.attempts[o]+1, 0) != failure.None {
			j.givenUp[o] = true
			next.Wait = 0
			j.p.w.audit.givesUp(j, n)
		}
		if next.Spends {
			j.attempts[o]++
		}
		until := int64(0)
		if next.Wait > 0 {
			until = int64(j.p.mono() + next.Wait)
		}
		j.lanes.Back(o, until, next.Limit)
	}
}

// post does with a call's records what becomes of those that are given up, key after key.
func (j *job) post(ctx context.Context, c *call) {
	for i, key := range c.keys {
		if slices.Index(c.keys, key) != i {
			continue
		}
		var ns []int
		open := false
		for k, n := range c.ordinals {
			if c.keys[k] == key {
				ns = append(ns, n)
				open = open || j.givenUp[j.lane(n)]
			}
		}
		j.send(ctx, key, ns, open)
	}
	j.landed(c)
}

func (j *job) send(ctx context.Context, key string, ns []int, open bool) {
	w := j.p.w
	if w.plan.then == skips {
		w.counts.add("record skipped")
		w.audit.skipped(j, ns)
		j.finish(ns)
		return
	}
	if planted.Is(planted.LetterAfter) {
		j.finish(ns)
	}
	at, err := box{j.p}.put(ctx, j, key, ns, open)
	if err == nil {
		err = j.bury(ctx, ns)
	}
	switch {
	case planted.Is(planted.LetterAfter):
	case j.refuses(err):
		for _, n := range ns {
			j.lanes.Return(j.lane(n))
		}
	case err == nil:
		w.counts.add("letter stored")
		j.finish(ns)
		j.asOf[key] = at
		if open && w.plan.then == parksKey {
			j.parked[key] = true
		}
	case errors.Is(err, deadletter.ErrNotParked):
		w.counts.add("key that is parked no longer")
		delete(j.parked, key)
		j.asOf[key] = at
		for _, n := range ns {
			j.lanes.Return(j.lane(n))
		}
	default:
		w.counts.add("letter not stored")
		for _, n := range ns {
			j.lanes.Back(j.lane(n), int64(j.p.mono()+j.grace/2), len(ns))
		}
	}
}
