package consumer

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// What [Deferred] answers.
var (
	// ErrAcknowledged: it was acknowledged before.
	ErrAcknowledged = errors.New("consumer: the records were acknowledged before")
	// ErrLate: nobody waits for it any longer. The deadline is over, the shard was given up, or the call that kept the records failed: they are delivered again.
	ErrLate = errors.New("consumer: the records are no longer waited for and will be delivered again")
	// ErrNotKept: the records are not of one call of a handler that has not returned.
	ErrNotKept = errors.New("consumer: Defer was not called by the handler with records of its call")
)

// Deferred are records that a handler kept when it returned, to acknowledge them later.
type Deferred struct {
	w        *window // nil: nothing was kept
	ordinals []uint64
	since    time.Time
	deadline time.Time // zero: the call has not returned
	state    ack
	why      error // with refused
}

type ack uint8

const (
	unacknowledged ack = iota
	acknowledged
	refused   // Fail was called while the call went on
	tooLate   // the deadline is over, or the shard was given up
	calledOff // the call failed
)

// Defer keeps records of a handler's call beyond its return, with what is kept in order behind them, until Done or Fail is called, from any goroutine: for handlers that hand their work on. It is called
// before the handler returns, with records of that call; what a handler did not keep is done when it returns nil. If the call fails at or before one of them, none is kept. Data and Raw stay valid until then.
// The call's context may end when the handler returns, and with Failure.Timeout it does: work that goes on needs another.
//
// A record that is not acknowledged within Failure.AckWithin counts as failed.
func Defer(rs ...Record) *Deferred {
	d := &Deferred{since: time.Now()}
	for _, r := range rs {
		if r.in == nil || d.w != nil && d.w != r.in.window() {
			return &Deferred{}
		}
		d.w = r.in.window()
		d.ordinals = append(d.ordinals, r.ordinal)
	}
	if d.w == nil {
		return d
	}
	d.w.mu.Lock()
	defer d.w.mu.Unlock()
	if d.w.redriving {
		d.w.kept = true
		return &Deferred{}
	}
	in := d.w.calling(rs[0])
	for i, o := range d.ordinals {
		if in == nil || d.w.calling(rs[i]) != in || d.w.deferred[o] != nil || slices.Contains(d.ordinals[:i], o) {
			for _, kept := range d.ordinals[:i] {
				delete(d.w.deferred, kept)
			}
			return &Deferred{}
		}
		note(&d.w.deferred, o, d)
	}
	return d
}

// calling is the call in whose hands a record is; nil if it is in none.
func (w *window) calling(r Record) *call {
	for _, c := range w.calls {
		if i, found := slices.BinarySearch(c.ordinals, r.ordinal); found && !c.given && c.attempts(i) == r.Attempt {
			return c
		}
	}
	return nil
}

// Flush is closed when the records are wanted: the shard is to be given up, and waits for them as long as [Stop].Drain says.
func (d *Deferred) Flush() <-chan struct{} {
	if d.w == nil {
		return nil
	}
	return d.w.flush
}

// Done says that the records are done. The error matches [ErrAcknowledged] or [ErrLate], and then names the shard and is told to Hooks.Error; or [ErrNotKept], which only the
// caller hears of.
func (d *Deferred) Done() error { return d.acknowledge(nil, acknowledged) }

// Fail says that the records failed, together: what follows is what follows a handler's error, also if err is nil. It answers as Done does.
func (d *Deferred) Fail(err error) error {
	if err == nil {
		err = errors.New("consumer: Fail was called without a reason")
	}
	return d.acknowledge(err, refused)
}

func (d *Deferred) acknowledge(why error, as ack) error {
	if d.w == nil {
		return ErrNotKept
	}
	w := d.w
	w.mu.Lock()
	c := &call{w: w}
	err := d.become(as)
	if err == nil {
		d.why = why
		if !d.deadline.IsZero() {
			w.acknowledged(c, d)
		}
	}
	ready := w.lanes.Ready() > 0
	w.mu.Unlock()
	if err != nil {
		err = fmt.Errorf("%w: shard %s, %d records", err, w.r.lease.Shard().ID, len(d.ordinals))
		w.r.failed(err)
		return err
	}
	c.tell()
	if ready {
		w.r.c.pool.offer(w)
	}
	return nil
}

func (d *Deferred) become(as ack) error {
	switch d.state {
	case unacknowledged:
		d.state = as
		return nil
	case acknowledged, refused:
		return ErrAcknowledged
	}
	return ErrLate
}

// keep is called when a call returned of which so many records are done or kept. A Defer with one of the others is called off.
func (w *window) keep(c *call, done int) {
	for _, o := range c.ordinals[done:] {
		if d := w.deferred[o]; d != nil {
			d.state = calledOff
			delete(w.deferred, o)
		}
	}
}

// answered settles what a call that has returned kept: it waits, or it was acknowledged before, or called off.
func (w *window) answered(c *call) {
	for _, o := range c.ordinals {
		switch d := w.deferred[o]; {
		case d == nil:
		case d.state == unacknowledged && !w.lapsed:
			w.await(d)
		case d.state == unacknowledged, d.state == tooLate, d.state == calledOff:
			d.state = max(d.state, tooLate)
			delete(w.deferred, o)
			w.lanes.Return(o)
		default:
			w.acknowledged(c, d)
		}
	}
}

// await keeps the records of a call that has returned.
func (w *window) await(d *Deferred) {
	if d.deadline.IsZero() {
		d.deadline = time.Now().Add(w.r.cfg().Failure.AckWithin)
		w.awaited = append(w.awaited, d)
		signal(w.changed)
	}
}

// acknowledged settles records whose call has returned.
func (w *window) acknowledged(c *call, d *Deferred) {
	bytes := int64(0)
	for _, o := range d.ordinals {
		delete(w.deferred, o)
		if d.state == acknowledged {
			bytes += w.slot(o).page.each
			c.pages = w.done(o, c.pages)
		}
	}
	w.awaited = slices.DeleteFunc(w.awaited, func(other *Deferred) bool { return other == d })
	if d.state == acknowledged {
		w.troubled = 0
		w.reach(len(d.ordinals), bytes)
	} else {
		w.blame(c, d.ordinals, d.why)
	}
	w.rest()
}

// unacknowledged fails what was not acknowledged in time.
func (w *window) unacknowledged(c *call, now time.Time) {
	for len(w.awaited) > 0 && !now.Before(w.awaited[0].deadline) {
		d := w.awaited[0]
		d.state, d.why = tooLate, ErrUnacknowledged
		w.acknowledged(c, d)
	}
}
