package consumer

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/internal/failure"
)

// failed is what is known of a record that failed.
type failed struct {
	key      string
	position checkpoint.Position
	first    time.Time // when it first failed
	last     time.Time
	err      error
	attempts int
	reason   failure.Reason // why it is given up; none: it is tried again
}

// fault is what is known of a record, which is kept from here on.
func (w *window) fault(o uint64, now time.Time) *failed {
	f := w.failing[o]
	if f == nil {
		f = &failed{key: w.keyOf(o), position: w.slot(o).rec.Position, first: now}
		note(&w.failing, o, f)
	}
	f.last = now
	return f
}

// fail says that records failed together: they are tried again, or given up.
func (w *window) fail(c *call, os []uint64, why error, unspent bool) {
	now, cfg := time.Now(), w.r.cfg().Failure
	policy := cfg.policy()
	permanent, after := wishes(why)
	first := w.slot(os[0]).rec
	f := failure.Failure{Records: len(os), Attempt: first.Attempt, After: after, Permanent: permanent, Unspent: unspent}
	for _, o := range os {
		f.Attempt = min(f.Attempt, w.slot(o).rec.Attempt)
	}
	next := policy.Next(f, rand.Float64())
	until := int64(0)
	if next.Wait > 0 {
		until = int64(now.Add(next.Wait).Sub(w.begun))
	}
	again := Retried{Shard: first.Shard, Wait: next.Wait, Err: why}
	for _, o := range os {
		rec, known := w.slot(o).rec, w.fault(o, now)
		known.err, known.attempts = why, rec.Attempt
		reason := policy.Exhausted(f, rec.Attempt, now.Sub(rec.Arrived))
		if reason != failure.None && cfg.Then != Block {
			known.reason = reason
			w.lanes.Back(o, 0, 1)
			continue
		}
		if again.Position.IsZero() {
			again.Position, again.Key, again.Attempt, again.Exhausted = rec.Position, known.key, rec.Attempt, string(reason)
		}
		again.Records++
		if next.Spends {
			rec.Attempt++
		}
		w.lanes.Back(o, until, next.Limit)
	}
	if again.Records > 0 && !policy.Splits(f) {
		c.told = append(c.told, func() { w.r.c.retried(again) })
	}
	signal(w.changed)
}

// doubt is about a record of which Config.Filter or Order.Key did not say what it is.
type doubt struct {
	err   error // why; nil: they have said it since
	stray bool  // its key could not be had
}

// stray tells whether a record keeps clear of the keys: its own could not be had when it was read.
func (w *window) stray(o uint64) bool {
	return w.doubts[o].stray
}

// ask asks again for what could not be had of a record.
func (w *window) ask(c *call, o uint64) {
	w.mu.Lock()
	rec := *w.slot(o).rec
	w.mu.Unlock()
	k := w.r.kind(rec)
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case k.err != nil:
		w.doubts[o] = doubt{k.err, w.stray(o)}
		w.fail(c, []uint64{o}, k.err, false)
	case k.passes:
		c.pages = w.done(o, c.pages)
	default: // others of its key may have gone before
		w.doubts[o] = doubt{stray: w.stray(o)}
		w.lanes.Return(o)
	}
}

// kind is what a record is to the consumer.
type kind struct {
	key    string
	passes bool  // it is not for the handler
	stray  bool  // its key is not known
	err    error // why that, or whether it passes, is not
}

// kind asks Config.Filter and Order.Key about a record.
func (r *runner) kind(rec Record) (k kind) {
	k.passes, k.err = r.passes(rec)
	if k.passes {
		return k
	}
	key, err := r.key(rec)
	if err != nil {
		k.stray, k.err = true, err
	}
	k.key = key
	return k
}

func (r *runner) passes(rec Record) (passes bool, err error) {
	defer recovered(&err)
	filter := r.cfg().Filter
	return filter != nil && !filter(rec), nil
}

func (r *runner) key(rec Record) (key string, err error) {
	defer recovered(&err)
	if of := r.cfg().Order.Key; of != nil {
		return of(rec)
	}
	return rec.Key, nil
}

// ErrUnacknowledged is the failure of a record that [Defer] kept and that was not acknowledged within Failure.AckWithin.
var ErrUnacknowledged = errors.New("consumer: not acknowledged within Failure.AckWithin")
