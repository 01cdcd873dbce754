package consumer

import (
	"context"
	"time"
)

// dispatcher hands the records of one shard to the handler, in order, one call at a time.
type dispatcher struct {
	r    *runner
	stop <-chan struct{} // closed: hand out nothing more
	last *Page           // the shard's last page, once everything is done
	lent []Record        // what the handler gets, to do with as it likes
	quit bool            // the handler ended its goroutine
}

// run handles pages until there are no more, or it is stopped, or ctx has ended.
func (d *dispatcher) run(ctx context.Context, pages <-chan Page) {
	for {
		select {
		case page, ok := <-pages:
			if !ok || !d.page(ctx, page) {
				return
			}
		case <-d.stop:
			return
		case <-ctx.Done():
			return
		}
	}
}

// page gives true when all records of the page are done and more may follow.
func (d *dispatcher) page(ctx context.Context, page Page) bool {
	defer d.r.settle(page)
	size := d.r.cfg().Batch.Size
	each := page.Bytes / int64(max(1, len(page.Records)))
	for rs := page.Records; len(rs) > 0; {
		n := min(size, len(rs))
		if !d.batch(ctx, rs[:n], each) {
			return false
		}
		rs = rs[n:]
	}
	d.r.progress.done(page.Through, 0, 0)
	if page.End {
		d.last = &page
	}
	return !page.End
}

// batch calls the handler until all of rs are done. It gives false if it stopped before.
func (d *dispatcher) batch(ctx context.Context, rs []Record, bytes int64) bool {
	for fails := 0; ; {
		if !d.r.progress.admit(ctx, d.stop) || !d.r.lease.Valid() {
			return false
		}
		begun := time.Now()
		err := d.handle(ctx, rs)
		done, failed, why := settled(len(rs), err)
		if done > 0 {
			d.r.handled(rs[done-1].Position, done, int64(done)*bytes, time.Since(begun))
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

// handle calls the handler with a copy: one that sorts or filters its slice must change neither what is delivered again nor what is stored.
func (d *dispatcher) handle(ctx context.Context, rs []Record) error {
	if _, ok := d.r.cfg().Handler.(each); !ok {
		d.lent = append(d.lent[:0], rs...)
		rs = d.lent
	}
	d.quit = true // runtime.Goexit runs deferred calls only
	err := handle(ctx, d.r.cfg().Handler, rs)
	d.quit = false
	return err
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
