package consumer

import (
	"time"

	"github.com/runnelhq/runnel/checkpoint"
)

// tick does what is due by the clock, and gives the time until it is to be called again.
func (w *window) tick(now time.Time) time.Duration {
	w.mu.Lock()
	var c *call
	if len(w.awaited) > 0 {
		c = &call{w: w}
		w.unacknowledged(c, now)
	}
	w.wake(now)
	open, next := w.open(now), w.next(now)
	w.mu.Unlock()
	if c != nil {
		c.tell()
	}
	if open {
		w.r.c.pool.offer(w)
	}
	return next
}

// wake readies the lanes whose time has come.
func (w *window) wake(now time.Time) {
	if until, waits := w.lanes.Next(); waits && time.Duration(until) <= now.Sub(w.begun) {
		if w.lanes.Ready() == 0 {
			w.readyAt = now
		}
		w.lanes.Wake(int64(now.Sub(w.begun)))
	}
}

// next is how long until something is due by the clock.
func (w *window) next(now time.Time) time.Duration {
	next := checkpoint.Never
	soon := func(t time.Time) {
		if d := t.Sub(now); d > 0 {
			next = min(next, d)
		}
	}
	if until, waits := w.lanes.Next(); waits {
		soon(w.begun.Add(time.Duration(until)))
	}
	if len(w.awaited) > 0 {
		soon(w.awaited[0].deadline)
	}
	if w.lanes.Ready() > 0 {
		soon(w.hold)
		soon(w.readyAt.Add(w.r.cfg().Batch.Wait))
	}
	if limit := w.r.cfg().Timing.Watchdog; limit > 0 {
		for _, c := range w.calls {
			soon(c.begun.Add(limit))
		}
	}
	return next
}
