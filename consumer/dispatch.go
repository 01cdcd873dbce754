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
		last := rs[len(rs)-1].Position
		begun := time.Now()
		err := handle(ctx, d.r.cfg().Handler, rs)
		done, failed, why := settled(len(rs), err)
		if done > 0 {
			if done < len(rs) {
				last = rs[done-1].Position
			}
			d.r.handled(last, done, int64(done)*bytes, time.Since(begun))
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
