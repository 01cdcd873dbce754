package sim

import (
	"context"
	"strings"

	"github.com/runnelhq/runnel/lease"
)

// Put writes rows, each of which fares on its own.
func (l link) Put(ctx context.Context, rows []lease.Row) []error {
	l.p.w.audit.sent(l.p, rows)
	errs := l.send(ctx, rows, "put", l.p.w.store.put)
	l.p.w.audit.acknowledged(l.p, rows, errs)
	return errs
}

// Delete removes rows.
func (l link) Delete(ctx context.Context, rows []lease.Row) []error {
	return l.send(ctx, rows, "delete", l.p.w.store.remove)
}

// batch is one call that writes rows.
type batch struct {
	l       link
	verb    string
	apply   func(*process, lease.Row) error
	answers []error
	settled []bool
	pending int
	done    bool
}

func (l link) send(ctx context.Context, rows []lease.Row, verb string, apply func(*process, lease.Row) error) []error {
	b := &batch{l: l, verb: verb, apply: apply, answers: make([]error, len(rows)), settled: make([]bool, len(rows)), pending: len(rows)}
	b.send(rows)
	waited := l.p.await(ctx, &b.done)
	var errs []error
	for i := range rows {
		err := b.answers[i]
		if !b.settled[i] {
			err = waited
		}
		if err != nil && errs == nil {
			errs = make([]error, len(rows))
		}
		if err != nil {
			errs[i] = err
		}
	}
	return errs
}

// send sends all rows together, or each on its own when something befalls one of them.
func (b *batch) send(rows []lease.Row) {
	w, t := b.l.p.w, b.l.travel()
	fates := make([]fate, len(rows))
	plain := !t.lost && t.err == nil
	for i := range rows {
		fates[i] = b.fate(rows[i], t)
		plain = plain && fates[i] == arrives
	}
	if plain {
		w.after(t.there, func() {
			for i, row := range rows {
				b.answers[i] = b.land(row, "")
			}
			w.after(t.back, func() {
				if !b.l.cut() {
					b.settle(len(rows), func(i int) error { return b.answers[i] })
				}
			})
		})
		return
	}
	for i, row := range rows {
		b.travel(i, row, t, fates[i])
	}
}

// fate is what befalls a row.
type fate uint8

const (
	arrives fate = iota
	vanishes
	losesAnswer
	comesLate
	landsTwice
	deniesItself
	bounces
	throttles
)

func (b *batch) fate(row lease.Row, t trip) fate {
	w := b.l.p.w
	s := w.weather
	switch {
	case t.lost:
		return vanishes
	case t.err != nil:
		return bounces
	case s.strikes(s.lost):
		w.counts.add("lost write")
		return vanishes
	case s.strikes(s.unanswered):
		w.counts.add("lost answer")
		return losesAnswer
	case s.strikes(s.late):
		w.counts.add("late write")
		return comesLate
	case s.strikes(s.twice), strings.HasPrefix(row.Key, sessions) && row.Version == 0 && s.strikes(20*s.twice): // of a session there is only one join
		w.counts.add("write repeated later")
		return landsTwice
	case s.strikes(s.denied):
		w.counts.add("conflict though applied")
		return deniesItself
	case s.strikes(s.throttled):
		w.counts.add("throttled write")
		return throttles
	}
	return arrives
}

// travel has one row fare as its fate says.
func (b *batch) travel(i int, row lease.Row, t trip, f fate) {
	w := b.l.p.w
	answer := func(err error) {
		w.after(t.back, func() {
			if !b.l.cut() {
				b.settle(1, func(int) error { return err }, i)
			}
		})
	}
	refuse := func(err error) {
		if w.trace.on() {
			w.trace.say(b.l.p.name, b.verb, "%s: %v", row.Key, err)
		}
		w.after(t.there, func() { b.settle(1, func(int) error { return err }, i) })
	}
	switch f {
	case vanishes:
		if w.trace.on() {
			w.trace.say(b.l.p.name, b.verb, "%s is lost", row.Key)
		}
	case bounces:
		refuse(t.err)
	case throttles:
		refuse(errThrottled)
	case losesAnswer:
		w.after(t.there, func() { _ = b.land(row, "answer is lost") })
	case comesLate:
		if w.trace.on() {
			w.trace.say(b.l.p.name, b.verb, "%s is delayed", row.Key)
		}
		b.later(row)
	case landsTwice:
		w.after(t.there, func() { answer(b.land(row, "")) })
		b.later(row)
	case deniesItself:
		w.after(t.there, func() {
			_ = b.land(row, "answers a conflict")
			answer(lease.ErrConflict)
		})
	default:
		w.after(t.there, func() { answer(b.land(row, "")) })
	}
}

// later has a row land after its sender gave up, and before the faults are over.
func (b *batch) later(row lease.Row) {
	w := b.l.p.w
	wait := min(w.timing.Request+w.between(0, 4*w.timing.Expiry), w.plan.calm-w.now)
	if w.chance(0.5) {
		wait = min(w.between(0, w.timing.Request*3/2), wait)
	}
	w.after(wait, func() {
		if b.land(row, "late") == nil {
			w.audit.landedLate(row)
		}
	})
}

// land applies a row.
func (b *batch) land(row lease.Row, remark string) error {
	w := b.l.p.w
	err := b.apply(b.l.p, row)
	if err != nil {
		w.audit.refused(b.l.p, row)
	}
	if w.trace.on() {
		answer := "ok"
		if err != nil {
			answer = "conflict"
		}
		if remark != "" {
			answer += ", " + remark
		}
		w.trace.say(b.l.p.name, b.verb, "%s v%d %s: %s", row.Key, row.Version, row.Value, answer)
	}
	return err
}

// settle notes the answers of n rows, those of at or all, and wakes the sender when it has all of them.
func (b *batch) settle(n int, answer func(int) error, at ...int) {
	for k := range n {
		i := k
		if len(at) > 0 {
			i = at[k]
		}
		b.answers[i], b.settled[i] = answer(i), true
		b.pending--
	}
	if b.pending == 0 {
		b.done = true
		b.l.p.schedule()
	}
}
