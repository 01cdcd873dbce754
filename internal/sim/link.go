package sim

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/runnelhq/runnel/lease"
)

// link is a process's way to the store: a [lease.Store] whose requests take time and go astray.
type link struct{ p *process }

var (
	errRefused   = errors.New("the store cannot be reached")
	errThrottled = errors.New("the store is busy")
)

// Setup does nothing.
func (l link) Setup(ctx context.Context) error { return context.Cause(ctx) }

// trip is how a request fares.
type trip struct {
	there, back time.Duration
	lost        bool  // it does not arrive
	err         error // it is refused
}

// travel throws the dice for a request.
func (l link) travel() trip {
	w := l.p.w
	s := w.weather
	t := trip{there: w.between(time.Millisecond, 8*time.Millisecond), back: w.between(time.Millisecond, 8*time.Millisecond)}
	if w.chance(0.02) {
		t.there, t.back = 20*t.there, 20*t.back
	}
	switch {
	case l.p.h.cut || w.now < s.down:
		w.counts.add("request cut off")
		t.lost = w.chance(0.7)
		t.err = errRefused
	case s.strikes(s.slow):
		w.counts.add("slow request")
		slow := w.timing.Request
		t.there, t.back = w.between(slow/4, slow), w.between(slow/8, slow/2)
	}
	return t
}

// cut tells whether an answer cannot come back now.
func (l link) cut() bool { return l.p.h.cut || l.p.w.now < l.p.w.weather.down }

// ask sends a request that changes nothing: read is called when it arrives.
func (l link) ask(ctx context.Context, what string, deaf cripple, read func()) error {
	w, t := l.p.w, l.travel()
	s := w.weather
	switch {
	case t.lost || t.err != nil:
	case l.p.h.deaf&deaf != 0:
		t.err = errThrottled
	case s.strikes(s.lost):
		w.counts.add("lost read")
		t.lost = true
	case s.strikes(s.throttled):
		w.counts.add("throttled read")
		t.err = errThrottled
	}
	done := false
	var err error
	if !t.lost {
		w.after(t.there, func() {
			if err = t.err; err == nil {
				read()
			}
			w.after(t.back, func() {
				done = err != nil || !l.cut()
				l.p.schedule()
			})
		})
	}
	if waited := l.p.await(ctx, &done); waited != nil {
		err = waited
	}
	if err != nil && w.trace.on() {
		w.trace.say(l.p.name, "read", "%s: %v", what, err)
	}
	return err
}

// Get reads rows as they are when the request arrives.
func (l link) Get(ctx context.Context, keys []string) ([]lease.Row, error) {
	var rows []lease.Row
	if err := l.ask(ctx, keys[0], noReads, func() { rows = l.p.w.store.get(keys) }); err != nil {
		l.p.w.audit.answered(l.p, nil)
		return nil, err
	}
	l.p.w.audit.answered(l.p, rows)
	return rows, nil
}

// History is always the same: nothing is forgotten here.
func (l link) History(ctx context.Context, _ []string) (string, error) {
	var history string
	l.p.asking++
	err := l.ask(ctx, "history", noReads, func() { history = l.p.w.store.history })
	l.p.asking--
	l.p.unsure = err != nil
	if err != nil {
		l.p.doubts = l.p.w.now + l.p.w.timing.Expiry
	}
	return history, err
}

// List yields rows that may be a little old. A listing by cursor is of one instant, as one by an index that lags; the others are of several.
func (l link) List(ctx context.Context, group, after string) iter.Seq2[lease.Row, error] {
	return func(yield func(lease.Row, error) bool) {
		w := l.p.w
		s := w.weather
		var rows []lease.Row
		err := l.ask(ctx, group, noLists, func() { rows = l.list(group, after) })
		broken := err == nil && s.strikes(s.broken)
		if broken {
			w.counts.add("broken listing")
			rows, err = rows[:w.dice.IntN(len(rows)+1)], errThrottled
		}
		for _, row := range rows {
			if !yield(row, nil) {
				return
			}
		}
		if err != nil {
			yield(lease.Row{}, err)
		}
	}
}

func (l link) list(group, after string) []lease.Row {
	w := l.p.w
	s := w.weather
	age := func() time.Duration { return 0 }
	if s.strikes(s.stale) {
		if after != "" {
			old := w.between(0, stalest)
			age = func() time.Duration { return old }
		} else {
			age = func() time.Duration { return w.between(0, stalest) }
		}
	}
	rows, misled := w.store.list(group, after, age)
	if misled {
		w.counts.add("stale listing that misled")
	}
	if after != "" && len(rows) > 0 && s.strikes(s.missed) {
		w.counts.add("listing that missed a change")
		rows = rows[1:]
	}
	return rows
}
