package consumer

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/lease"
)

// ErrDrain is the cause with which a handler's context ends when [Stop.Drain] is over. When the shard is lost, the cause is [lease.ErrLost].
var ErrDrain = errors.New("consumer: the time for the drain is over")

// ErrStuck is the cause with which a handler's context ends when one call lasts longer than [lease.Timing].Watchdog. Its shard is given up.
var ErrStuck = errors.New("consumer: the handler is stuck")

var errAbandoned = errors.New("consumer: the handler, or the source's reader, did not return after its context had ended")

var errQuit = errors.New("consumer: the handler or a hook ended its goroutine (runtime.Goexit, or FailNow of a test): its shard is given up and taken again")

// runner works on one shard in one epoch: a feed reads into a window, workers handle what is in it, and positions are stored meanwhile. See [shift].
type runner struct {
	c        *Consumer
	stream   Stream
	lease    *lease.Lease
	log      *slog.Logger
	progress *progress
	window   atomic.Pointer[window]
	inFlight atomic.Int64  // records of pages that were read and are not settled
	settled  chan struct{} // holds one token: nothing is in flight, or was a moment ago
	paused   atomic.Bool   // nothing is read or handed out, by the caller's wish
	resume   chan struct{} // holds one token: that may have changed

	mu     sync.Mutex
	behind time.Duration
	readAt time.Time
}

func newRunner(c *Consumer, st Stream, l *lease.Lease) *runner {
	strategy := c.cfg.Checkpoint
	if c.cfg.Delivery == AtMostOnce {
		strategy = checkpoint.Manual{} // the feed stores positions
	}
	return &runner{
		c: c, stream: st, lease: l,
		log:      c.log.With("shard", l.Shard().ID, "epoch", l.Epoch()),
		progress: newProgress(strategy, l.Position(), newAsked()),
		settled:  make(chan struct{}, 1),
		resume:   make(chan struct{}, 1),
		behind:   -1,
	}
}

func (r *runner) cfg() *Config   { return &r.c.cfg }
func (r *runner) source() Source { return r.c.cfg.Source }

// run works on the shard until it has ended, is drained, or is lost with ctx. See lease.Config.Work for what it returns.
func (r *runner) run(ctx context.Context) (running <-chan struct{}) {
	r.c.assigned(r)
	s := begin(ctx, r)
	lost := s.work(ctx)
	if running := s.end(lost); running != nil {
		r.c.lost(r, ReasonAbandoned, errAbandoned)
		r.c.left(running)
		return running
	}
	if by := s.window.unsealedBy(); by != nil && ctx.Err() == nil {
		r.lift(ctx, by)
		return nil
	}
	stuck := errors.Is(lost, ErrStuck)
	if lost == nil || stuck {
		lost = context.Cause(ctx)
	}
	if lost != nil {
		r.c.lost(r, ReasonLost, lost)
		return nil
	}
	reason := ReasonReleased
	if stuck {
		reason = ReasonStuck
	}
	r.giveUp(ctx, s.window, reason)
	return nil
}

// giveUp ends the epoch: END after the shard's last page, and otherwise a release.
func (r *runner) giveUp(ctx context.Context, w *window, reason Reason) {
	records := r.progress.rest()
	done := w.reached()
	if w.over && r.end(ctx, w, r.storable(done).at, records) {
		return
	}
	advancing, cancel := context.WithTimeout(ctx, r.cfg().Stop.Grace)
	defer cancel()
	unmoved := r.advance(advancing, w, done.at)
	if by := w.unsealedBy(); by != nil {
		r.lift(ctx, by)
		return
	}
	if unmoved != nil { // the sink may not hold what was done since
		done, records = place{}, 0
	}
	done = r.storable(done)
	releasing, cancel := context.WithTimeout(ctx, r.cfg().Stop.Grace)
	defer cancel()
	err := r.lease.Release(releasing, done.at, done.ahead)
	if err != nil {
		r.failed(err)
	} else {
		r.stored(done.at, records)
	}
	r.c.lost(r, reason, errors.Join(unmoved, err))
}

// storable is what may be stored with the lease of a shard that is done so far: its position never goes back, also where that of the sink has.
func (r *runner) storable(done place) place {
	if stored := r.lease.Position(); done.at.Before(stored) {
		done = place{at: stored}
	}
	return done
}

// end marks the shard as ended, and tries again until that is stored, or the shard is to be given up.
func (r *runner) end(ctx context.Context, w *window, p checkpoint.Position, records int) bool {
	ctx, free := r.graced(ctx)
	defer free()
	if r.advance(ctx, w, checkpoint.End()) != nil {
		return false
	}
	for fails := 1; ; fails++ {
		err := r.lease.End(ctx, p, w.children)
		if err == nil {
			r.stored(p, records)
			r.c.lost(r, ReasonEnded, nil)
			return true
		}
		r.failed(err)
		if !r.lease.Valid() {
			r.c.lost(r, ReasonLost, err)
			return true
		}
		select {
		case <-r.lease.Draining():
			return false
		default:
		}
		_ = backoff.Wait(ctx, r.cfg().retries().Delay(fails)) // the next End sees the end of ctx
	}
}

// graced is ctx until the grace after the shard was wanted back: what is tried again for ever must not hold up a drain.
func (r *runner) graced(ctx context.Context) (context.Context, func()) {
	ctx, end := context.WithCancelCause(ctx)
	watched := spawn(func() {
		select {
		case <-r.lease.Draining():
		case <-ctx.Done():
			return
		}
		if backoff.Wait(ctx, r.cfg().Stop.Grace) == nil {
			end(ErrDrain)
		}
	})
	return ctx, func() {
		end(nil)
		<-watched
	}
}

// adopt makes the records of a page this shard's, and counts the page as in flight until settle.
func (r *runner) adopt(page Page, w *window) {
	r.inFlight.Add(int64(len(page.Records)))
	for i := range page.Records {
		rec := &page.Records[i]
		rec.Attempt, rec.Epoch, rec.Generation, rec.in = 1, r.lease.Epoch(), r.lease.Generation(), w
	}
	r.mu.Lock()
	r.behind, r.readAt = page.Behind, time.Now()
	r.mu.Unlock()
	r.c.page(PageRead{
		Shard: r.lease.Shard().ID, Records: len(page.Records), Bytes: page.Bytes, Behind: page.Behind, End: page.End,
	})
}

// settle gives back what a page held. No record of it is used any longer.
func (r *runner) settle(page Page) {
	defer r.release(page)
	if r.inFlight.Add(-int64(len(page.Records))) == 0 {
		signal(r.settled)
	}
}

// release gives back what a page held that is not in flight.
func (r *runner) release(page Page) {
	if page.Release != nil {
		page.Release()
	}
	r.cfg().Flow.Budget.add(-page.Bytes)
}

// write stores how far the shard is done. It gives false when nothing more can be stored in this epoch.
func (r *runner) write(ctx context.Context, w *window, records int) bool {
	done := w.reached()
	if err := r.advance(ctx, w, done.at); err != nil {
		return false
	}
	done = r.storable(done)
	if err := r.lease.Checkpoint(ctx, done.at, done.ahead); err != nil {
		if ctx.Err() == nil {
			r.failed(err)
		}
		return false
	}
	r.stored(done.at, records)
	r.c.pool.offer(w) // the strategy may have held records back
	return true
}

// stored notes that p is. It is told before others go on because of it.
func (r *runner) stored(p checkpoint.Position, records int) {
	if records > 0 {
		r.c.checkpointed(Checkpointed{Shard: r.lease.Shard().ID, Epoch: r.lease.Epoch(), Position: p, Records: records})
	}
	r.progress.end(p)
}

func (r *runner) failed(err error) { r.c.failed(Failed{Shard: r.lease.Shard().ID, Err: err}) }

func (r *runner) status() ShardStatus {
	watermark, stored := r.progress.positions()
	st := ShardStatus{Shard: r.lease.Shard().ID, Epoch: r.lease.Epoch(), Handled: watermark, Stored: stored, Paused: r.paused.Load()}
	r.mu.Lock()
	st.Behind, st.ReadAt = r.behind, r.readAt
	r.mu.Unlock()
	if w := r.window.Load(); w != nil {
		w.status(&st)
	}
	return st
}
