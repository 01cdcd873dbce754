package consumer

import (
	"context"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
)

// writer stores the positions of one shard, one write at a time; what is done meanwhile is stored by the next.
type writer struct{ r *runner }

// run writes what is due until stop is closed, or ctx has ended, or the lease is lost.
func (w writer) run(ctx context.Context, stop <-chan struct{}) {
	timer := time.NewTimer(checkpoint.Never)
	defer timer.Stop()
	for {
		position, records, wait := w.r.progress.begin(time.Now())
		if wait == 0 {
			if !w.write(ctx, position, records) {
				return
			}
			select {
			case <-stop:
				return
			default:
				continue
			}
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-w.r.progress.due:
		case <-w.r.progress.ask.notify:
		case <-stop:
			return
		case <-ctx.Done():
			return
		}
	}
}

// write gives false when nothing more can be stored in this epoch.
func (w writer) write(ctx context.Context, p checkpoint.Position, records int) bool {
	if err := w.r.lease.Checkpoint(ctx, p); err != nil {
		if ctx.Err() == nil {
			w.r.failed(err)
		}
		return false
	}
	w.r.stored(p, records) // before others go on because of it
	w.r.progress.end(p)
	return true
}
