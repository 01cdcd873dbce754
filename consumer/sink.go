package consumer

import (
	"context"
	"errors"
	"fmt"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/lease"
)

// errUnsealed ends the work on a shard whose sink does not know this epoch, or knows a higher one.
var errUnsealed = errors.New("consumer: the sink refuses this owner of the shard, which is given up and taken again in a higher epoch")

// stamp is what all marks of a shard in one epoch have in common.
func (r *runner) stamp() dedup.Mark {
	return dedup.Mark{
		App: r.cfg().Name, Stream: r.stream.Incarnation, Shard: r.lease.Shard().ID, Scope: r.cfg().Order.scope(),
		Epoch: r.lease.Epoch(), Session: r.lease.Session(), Generation: r.lease.Generation(),
	}
}

// sealed tells whether the sink says how far the shard is done. Marks of single records do not.
func (r *runner) sealed() bool {
	return r.cfg().Sink != nil && r.cfg().Order.scope() != dedup.PerID
}

// sign adds to a mark what its record does not know.
func (w *window) sign(m *dedup.Mark, o uint64) {
	m.App, m.Session, m.Scope = w.stamp.App, w.stamp.Session, w.stamp.Scope
	if w.redriving {
		m.Key, m.Alone = w.stamp.Key, w.stamp.Alone
		return
	}
	if w.r.cfg().Order.Key == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.slot(o); s.rec != nil {
		m.Key, m.Alone = w.keyOf(o), w.stray(o)
	}
}

// seal fences earlier owners off in the sink, and has the shard be read from where that stands. It tries until that is done, and gives false if it will not be.
func (f *feed) seal(ctx context.Context) bool {
	sink := f.r.cfg().Sink
	if sink == nil {
		return true
	}
	m := f.r.stamp()
	m.Position = f.r.lease.Position()
	for fails := 1; ; fails++ {
		var low checkpoint.Position
		err := contained("Sink", func() (err error) {
			low, err = sink.Seal(ctx, m)
			return err
		})
		if ctx.Err() != nil {
			return false
		}
		if err == nil {
			f.resume(low)
			return true
		}
		if f.window.refused(err) {
			return false
		}
		f.r.failed(fmt.Errorf("consumer: shard %s waits for Config.Sink, which cannot be sealed: %w", f.r.lease.Shard().ID, err))
		_ = backoff.Wait(ctx, f.r.cfg().retries().Delay(fails)) // the next attempt sees the end of ctx
	}
}

// resume has the shard be read from where its sink stands.
func (f *feed) resume(low checkpoint.Position) {
	stored := f.r.lease.Position()
	if !f.r.sealed() {
		return
	}
	f.window.resume(low)
	if low.Compare(stored) == 0 {
		return
	}
	f.r.c.resumed(Resumed{Shard: f.r.lease.Shard().ID, Epoch: f.r.lease.Epoch(), Lease: stored, Sink: low})
	switch {
	case low.IsEnd():
		f.ended = true
	case low.IsZero():
		f.after, f.start = low, f.r.lease.Origin()
	default:
		f.after, f.start = low, checkpoint.After(low)
	}
}

// resume says that everything up to low is done. What an earlier owner stored with the lease about the records behind it is not asked: the sink knows.
func (w *window) resume(low checkpoint.Position) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.restored = ahead{}
	if !low.IsEnd() { // the lease keeps the position of the last record
		w.at = low
	}
	w.reach(0, 0)
}

// advance moves the sink up to where the shard is done, before the lease says so. It tries until that is done, and gives an error if it will not be.
func (r *runner) advance(ctx context.Context, w *window, p checkpoint.Position) error {
	if !r.sealed() {
		return nil
	}
	m := r.stamp()
	m.Position = p
	for fails := 1; ; fails++ {
		err := contained("Sink", func() error { return r.cfg().Sink.Advance(ctx, m) })
		if err == nil {
			return nil
		}
		if w.refused(err) {
			return fmt.Errorf("%w: %w", errUnsealed, err)
		}
		if ctx.Err() != nil {
			return err
		}
		err = fmt.Errorf("consumer: shard %s: its position waits for Config.Sink: %w", r.lease.Shard().ID, err)
		r.failed(err)
		if backoff.Wait(ctx, r.cfg().retries().Delay(fails)) != nil {
			return err
		}
	}
}

// refused notes that the sink refuses this owner, if that is what an error says, and hands out nothing more.
func (w *window) refused(err error) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.refusal(err)
}

// refusal is refused with the lock held. Another order of the shard is for somebody to decide, and waits.
func (w *window) refusal(err error) bool {
	r, ok := errors.AsType[*dedup.RefusedError](err)
	if !ok || w.r.cfg().Sink == nil || rolledBack(err) || errors.Is(r, dedup.ErrScope) {
		return false
	}
	if w.unsealed == nil {
		w.unsealed = r
	}
	w.stopped = true
	signal(w.changed)
	return true
}

// down tells whether a failure is that the sink did not do what a call asked for, or that nobody knows. Where nothing is handed out twice it counts as any other.
func (w *window) down(why error) bool {
	return w.r.cfg().Delivery != AtMostOnce && !rolledBack(why) && (errors.Is(why, dedup.ErrUnavailable) || errors.Is(why, dedup.ErrUnsettled))
}

// rolledBack tells whether a failure is that of what was to be done in the sink, whatever that says: it may have called another sink.
func rolledBack(err error) bool {
	_, ok := errors.AsType[*dedup.RolledBackError](err)
	return ok
}

// unsealedBy is what the sink said when it refused this owner, nil if it did not.
func (w *window) unsealedBy() *dedup.RefusedError {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.unsealed
}

// lift gives up a shard whose sink refuses this owner, so that its next epoch is above what the sink knows. If somebody else owns the shard by now, that is why.
func (r *runner) lift(ctx context.Context, by *dedup.RefusedError) {
	why := fmt.Errorf("%w: %w", errUnsealed, by)
	ctx, cancel := context.WithTimeout(ctx, r.cfg().Stop.Grace)
	defer cancel()
	if err := r.lease.Lift(ctx, by.Epoch, by.Generation); err != nil {
		reason := ReasonRefused
		if errors.Is(err, lease.ErrLost) {
			reason = ReasonLost
		}
		r.c.lost(r, reason, errors.Join(err, why))
		return
	}
	r.c.lost(r, ReasonRefused, why)
}
