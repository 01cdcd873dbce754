package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
)

// call is a batch of one shard in the hands of a worker, which uses it again.
type call struct {
	w        *window
	begun    time.Time // zero while it waits for the limiter
	ordinals []uint64  // for the handler, rising
	records  []Record  // theirs, as the handler gets them
	lent     []Record  // copies, with which it may do as it likes
	asked    []uint64  // whose keys, or whether they pass, could not be had
	letters  []uint64  // given up, or following a key that is parked
	ways     []way     // of what was taken
	given    bool      // up: its worker was replaced, and what it returns does not count
	told     []func()  // what is to be told once the lock is free
	pages    []Page    // to be given back then
}

// work handles what was taken.
func (c *call) work() {
	w := c.w
	if len(c.letters) > 0 {
		w.waits(c) // for a store, and not for a handler
		w.post(c)
	}
	for _, o := range c.asked {
		w.ask(c, o)
	}
	if len(c.ordinals) == 0 {
		w.settle(c, nil)
		return
	}
	if len(c.letters)+len(c.asked) > 0 && !w.begin(c) || !w.admitted(c) {
		w.giveBack(c)
		return
	}
	w.settle(c, w.recorded(c))
}

// recorded calls the handler, and tells the breaker.
func (w *window) recorded(c *call) (err error) {
	if b := w.r.cfg().Flow.Breaker; b != nil {
		err = errQuit
		defer func() { b.Record(err) }() // also if the handler ends its goroutine
	}
	return w.call(c)
}

// admitted waits for the limiter and asks the breaker.
func (w *window) admitted(c *call) bool {
	flow := &w.r.cfg().Flow
	if l := flow.Limiter; l != nil {
		w.waits(c)
		if err := contained("Flow.Limiter", func() error { return l.Wait(w.handing, len(c.ordinals)) }); err != nil {
			if w.handing.Err() == nil {
				w.r.failed(fmt.Errorf("consumer: Flow.Limiter does not let %d records pass: %w", len(c.ordinals), err))
				w.holdFor(time.Second)
			}
			return false
		}
		if !w.begin(c) {
			return false
		}
	}
	if b := flow.Breaker; b != nil {
		if wait := b.Permit(); wait > 0 {
			w.holdFor(wait)
			return false
		}
	}
	return true
}

// waits notes that a call has not begun: how long it waits is not held against the handler.
func (w *window) waits(c *call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c.begun = time.Time{}
}

// begin notes that the call of the handler begins now, and tells whether it may.
func (w *window) begin(c *call) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	c.begun = time.Now()
	if w.r.cfg().Timing.Watchdog > 0 {
		signal(w.changed)
	}
	return !w.stopped && w.r.lease.ValidAt(c.begun)
}

// holdFor hands out nothing for a while.
func (w *window) holdFor(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hold = time.Now().Add(d)
	signal(w.changed)
}

// call calls the handler.
func (w *window) call(c *call) error {
	cfg := w.r.cfg()
	ctx := w.handling
	if limit := cfg.Failure.Timeout; limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, ErrTimeout)
		defer cancel()
		begun := c.begun
		overdue := time.AfterFunc(limit+cfg.Stop.Grace, func() { w.overdue(c, begun) })
		defer overdue.Stop()
	}
	if f, ok := cfg.Handler.(each); ok {
		return f.Handle(ctx, c.records) // it gives values, and survives their panics
	}
	return handle(ctx, cfg.Handler, c.records)
}

// overdue gives up a call that ignores the end of its context: its worker is replaced.
func (w *window) overdue(c *call, begun time.Time) {
	w.mu.Lock()
	if c.given || !c.begun.Equal(begun) || !slices.Contains(w.calls, c) { // it has returned since
		w.mu.Unlock()
		return
	}
	c.given = true
	first := w.slot(c.ordinals[0]).rec
	e := Overdue{
		Shard: first.Shard, Key: w.keyOf(c.ordinals[0]), Position: first.Position, Records: len(c.ordinals), Lasts: time.Since(begun),
	}
	w.mu.Unlock()
	w.r.c.overdue(e)
	w.r.c.pool.replace(w)
}

// quitBy notes that a call's goroutine was ended. It tells whether its worker is to be replaced.
func (w *window) quitBy(c *call) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = without(w.calls, c)
	w.keep(c, 0)
	w.quit, w.stopped = true, true
	w.rest()
	signal(w.changed)
	return !c.given
}

// giveBack puts what was taken back as it was.
func (w *window) giveBack(c *call) {
	w.mu.Lock()
	for _, o := range c.ordinals {
		w.lanes.Return(o)
	}
	c.ordinals = c.ordinals[:0]
	signal(w.changed) // until when it is held the shift could not tell, while nothing was ready
	w.mu.Unlock()
	w.settle(c, nil)
}

// settle says what became of a call.
func (w *window) settle(c *call, err error) {
	w.mu.Lock()
	w.calls = without(w.calls, c)
	n, bytes := len(c.ordinals), int64(0)
	if w.dropped {
		n = 0 // its pages are given back by others
	}
	if c.given {
		err = ErrTimeout // whatever it returned
	}
	is := w.split(n, err)
	handled := 0
	var last checkpoint.Position
	if len(w.deferred) > 0 {
		w.keep(c, is.done)
	}
	for _, o := range c.ordinals[:is.done] {
		if len(w.deferred) > 0 && w.deferred[o] != nil {
			continue
		}
		s := w.slot(o)
		bytes += s.page.each
		last = s.rec.Position
		c.pages = w.done(o, c.pages)
		handled++
	}
	if is.why != nil {
		w.failed(c, is)
	} else if handled > 0 {
		w.troubled = 0
	}
	if len(w.deferred) > 0 {
		w.answered(c)
	}
	if w.r.cfg().Balance.ByWeight {
		w.r.lease.Weigh(bytes)
	}
	w.reach(handled, bytes)
	if h := w.r.cfg().Hooks.Handled; h != nil && handled > 0 {
		e := Handled{Shard: w.r.lease.Shard().ID, Records: handled, Position: last, Took: time.Since(c.begun)}
		c.told = append(c.told, func() { w.r.c.handled(e) })
	}
	w.rest()
	w.mu.Unlock()
	clear(c.lent) // what records refer to is no longer counted
	c.records, c.lent = nil, c.lent[:0]
	c.tell()
}

// tell does what must be done without the lock.
func (c *call) tell() {
	for _, p := range c.pages {
		c.w.r.settle(p)
	}
	clear(c.pages)
	c.pages = c.pages[:0]
	for _, f := range c.told {
		f()
	}
	clear(c.told)
	c.told = c.told[:0]
}

// split tells what became of n records after the handler returned err.
func (w *window) split(n int, err error) outcome {
	is, cfg := outcomeOf(n, err), w.r.cfg()
	switch {
	case is.why == nil:
	case cfg.Failure.Split == Whole:
		return outcome{end: n, why: err}
	case cfg.Delivery == AtMostOnce && is.end > is.first:
		is.first, is.end = is.done, n // they were handed out
	}
	return is
}

// failed says that of a call's records some failed, or none had its turn. It is no attempt if the context ended.
func (w *window) failed(c *call, is outcome) {
	if w.handling.Err() != nil {
		is.first, is.end = is.done, is.done
	}
	for _, o := range c.ordinals[is.done:is.first] {
		w.lanes.Return(o)
	}
	for _, o := range c.ordinals[is.end:] {
		w.lanes.Return(o)
	}
	if is.first < is.end {
		w.blame(c, c.ordinals[is.first:is.end], is.why)
	}
}

// blame says why records failed together. It is no attempt if the sink of the effects is to blame.
func (w *window) blame(c *call, os []uint64, why error) {
	if w.refusal(why) {
		for _, o := range os {
			w.lanes.Return(o)
		}
		return
	}
	down := w.down(why)
	if down {
		w.trouble()
	}
	w.fail(c, os, why, w.broken() || down)
}

// trouble hands out nothing for a while, the longer the more often in a row the sink did not do what a call asked for.
func (w *window) trouble() {
	if now := time.Now(); !now.Before(w.hold) {
		w.troubled = min(w.troubled+1, 30)
		w.hold = now.Add(w.r.cfg().Failure.policy().Backoff.Delay(w.troubled))
		signal(w.changed)
	}
}

// broken tells whether a failure is not the records' fault.
func (w *window) broken() bool {
	b := w.r.cfg().Flow.Breaker
	return b != nil && b.Open() && w.r.cfg().Delivery != AtMostOnce
}

// attempts is which attempt the call is for its record i. The handler may have changed what it was lent.
func (c *call) attempts(i int) int { return c.w.slot(c.ordinals[i]).rec.Attempt }

func without(calls []*call, c *call) []*call {
	for i := range calls {
		if calls[i] == c {
			calls[i] = calls[len(calls)-1]
			calls[len(calls)-1] = nil
			return calls[:len(calls)-1]
		}
	}
	return calls
}

// wishes are what a handler's error asks for.
func wishes(err error) (permanent bool, after time.Duration) {
	if r, ok := errors.AsType[*retryAfterError](err); ok {
		after = r.after
	}
	_, permanent = errors.AsType[*permanentError](err)
	return permanent, after
}
