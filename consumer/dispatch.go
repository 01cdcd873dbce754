package consumer

import (
	"context"
	"sync/atomic"
	"time"
)

// dispatcher hands the records of one shard to the handler, in order, one call at a time.
type dispatcher struct {
	r        *runner
	stop     <-chan struct{} // closed: hand out nothing more
	lent     []Record        // what the handler gets, to do with as it likes
	done     bool            // all of the last page is done
	quit     bool            // the handler, or a hook, ended its goroutine
	ended    bool            // that page was the shard's last one
	children []Shard         // which it named
	calling  atomic.Int64    // when the call under way began, since 1970; 0: there is none. Kept only for a watchdog
}

// page handles a page until all of it is done, or it is stopped, or ctx has ended.
func (d *dispatcher) page(ctx context.Context, page Page) {
	defer d.r.settle(page)
	defer func() { clear(d.lent[:cap(d.lent)]) }() // what records refer to is no longer counted
	d.done, d.quit = false, true                   // runtime.Goexit runs deferred calls only
	d.records(ctx, page)
	d.quit = false
}

func (d *dispatcher) records(ctx context.Context, page Page) {
	size := d.r.cfg().Batch.Size
	each := page.Bytes / int64(max(1, len(page.Records)))
	for rs := page.Records; len(rs) > 0; {
		n := min(size, len(rs))
		if !d.batch(ctx, rs[:n], each) {
			return
		}
		rs = rs[n:]
	}
	d.r.progress.done(page.Through, 0, 0)
	d.done, d.ended, d.children = true, page.End, page.Children
}

// batch calls the handler until all of rs are done. It gives false if it stopped before.
func (d *dispatcher) batch(ctx context.Context, rs []Record, bytes int64) bool {
	for fails := 0; ; {
		if !d.r.progress.admit(ctx, d.stop) {
			return false
		}
		begun := time.Now()
		if !d.r.lease.ValidAt(begun) {
			return false
		}
		err := d.call(ctx, rs, begun)
		done, failed, why := settled(len(rs), err)
		if done > 0 {
			if fails > 0 {
				d.r.recovered()
			}
			d.r.handled(rs[done-1].Position, done, int64(done)*bytes, begun)
			rs, fails = rs[done:], 0
		}
		if why == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		fails++
		if !d.again(ctx, rs, failed, fails, why) {
			return false
		}
	}
}

// call calls the handler, under the eyes of the watchdog if there is one.
func (d *dispatcher) call(ctx context.Context, rs []Record, begun time.Time) error {
	if d.r.cfg().Timing.Watchdog > 0 {
		d.calling.Store(begun.UnixNano())
		defer d.calling.Store(0)
	}
	return d.handle(ctx, rs)
}

// lasts is how long the call under way has lasted; 0 if there is none.
func (d *dispatcher) lasts() time.Duration {
	begun := d.calling.Load()
	if begun == 0 {
		return 0
	}
	return time.Since(time.Unix(0, begun))
}

// handle calls the handler with a copy: one that sorts or filters its slice must change neither what is delivered again nor what is stored.
func (d *dispatcher) handle(ctx context.Context, rs []Record) error {
	if f, ok := d.r.cfg().Handler.(each); ok {
		return f.Handle(ctx, rs) // it gives values, and survives their panics
	}
	d.lent = append(d.lent[:0], rs...)
	return handle(ctx, d.r.cfg().Handler, d.lent)
}

// again waits until rs, of which the first ones failed, may be tried once more.
func (d *dispatcher) again(ctx context.Context, rs []Record, failed, fails int, why error) bool {
	wait := d.r.cfg().retries().Delay(fails)
	d.r.retrying(rs[0], fails, wait, why)
	for i := range failed {
		rs[i].Attempt++
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-d.stop:
	case <-ctx.Done():
	}
	return false
}
