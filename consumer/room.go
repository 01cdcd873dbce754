package consumer

import (
	"context"
	"slices"
	"time"
)

// vacancy waits until the feed may read, and gives how many records.
func (w *window) vacancy(ctx context.Context) (int, error) {
	for {
		n, full := w.free()
		if n > 0 {
			return n, nil
		}
		if full != nil {
			w.r.c.full(*full)
		}
		timer := time.NewTimer(w.r.cfg().Failure.MaxBackoff)
		select {
		case <-w.space:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
	}
}

// room is how many records may be read: where one shard goes record by record, no more than a page ahead. Fewer than a quarter of the bound are not worth a call of the service.
func (w *window) room() int {
	limit := w.r.cfg().Flow.Records
	n := limit - w.lanes.Len()
	b := &w.r.cfg().Batch
	fills := b.Wait > 0 && w.lanes.Len() < b.Size // a call that waits for records must be able to get them
	if n < limit/4 || w.r.cfg().Order.By == PerShard && w.pages > 1 && !fills {
		return 0
	}
	return n
}

// free is room, for the feed, which waits if there is none. full is to be told: a record that failed, is not acknowledged, or does not come back, holds up the reading.
func (w *window) free() (n int, full *Full) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n = w.room()
	if w.starved = n <= 0; !w.starved {
		return n, nil
	}
	if w.r.cfg().Batch.Wait > 0 {
		signal(w.changed) // no batch fills any further
	}
	if w.r.cfg().Order.By == PerShard {
		return 0, nil
	}
	low := w.lanes.Watermark()
	if w.toldFull == low+1 {
		return 0, nil
	}
	since, stuck := w.stuckSince(low)
	if !stuck {
		return 0, nil
	}
	w.toldFull = low + 1
	rec := w.slot(low).rec
	return 0, &Full{Shard: rec.Shard, Key: w.keyOf(low), Position: rec.Position, Since: since, Records: w.lanes.Len()}
}

// stuckSince is since when a record is not done although it was handed out.
func (w *window) stuckSince(o uint64) (since time.Time, stuck bool) {
	if f := w.failing[o]; f != nil {
		return f.first, true
	}
	if d := w.deferred[o]; d != nil {
		return d.since, true
	}
	for _, c := range w.calls {
		if _, in := slices.BinarySearch(c.ordinals, o); in && !c.begun.IsZero() && time.Since(c.begun) >= w.r.cfg().Failure.MaxBackoff {
			return c.begun, true
		}
	}
	return time.Time{}, false
}

// state tells whether all records of the shard are done, and whether a handler ended its goroutine.
func (w *window) state() (over, quit bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.over, w.quit
}

// lasts is how long the longest call under way has lasted.
func (w *window) lasts(now time.Time) (d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.calls {
		if !c.begun.IsZero() {
			d = max(d, now.Sub(c.begun))
		}
	}
	return d
}

// status says what waits in the shard, and for what.
func (w *window) status(st *ShardStatus) {
	w.mu.Lock()
	defer w.mu.Unlock()
	st.InFlight, st.GivenUp, st.Parked = w.lanes.Unfinished(), w.givenUp, len(w.parked)
	if st.InFlight > 0 && !w.cleared {
		if h := w.slot(w.lanes.Watermark()).page; h.page.Behind >= 0 {
			st.Behind = h.page.Behind + time.Since(h.read)
		}
	}
	st.FailingRecords = len(w.failing)
	var first *failed
	for _, f := range w.failing {
		if first == nil || f.position.Before(first.position) {
			first = f
		}
	}
	if first != nil {
		st.Failing, st.FailingKey, st.FailingAt, st.Attempt, st.Since = first.err, first.key, first.position, first.attempts, first.first
	}
}
