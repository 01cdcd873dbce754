package lease_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/lease"
)

// behind says that the n-th record behind the position 5 is done.
func behind(n int) checkpoint.Ahead {
	return checkpoint.NewAhead(checkpoint.Offset(6), slices.Values([]int{n}))
}

// A position that stands still, while more behind it is done: what is done is stored, whatever became of an answer, and the next owner has it.
func TestWhatIsDoneBehindAPositionThatStandsIsStored(t *testing.T) {
	for name, with := range faults {
		for _, step := range []struct {
			name string
			do   func(context.Context, *lease.Lease) error
		}{
			{"checkpoint", func(ctx context.Context, l *lease.Lease) error {
				return l.Checkpoint(ctx, checkpoint.Offset(5), behind(2))
			}},
			{"release", func(ctx context.Context, l *lease.Lease) error {
				return l.Release(ctx, checkpoint.Offset(5), behind(2))
			}},
		} {
			t.Run(fmt.Sprintf("%s/%s", step.name, name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newFleet(t, "a")
					defer f.close()
					w := f.join()
					f.until("work on a", func() bool { return w.job("a") != nil })
					j := w.job("a")
					err := j.order(func(ctx context.Context, l *lease.Lease) error {
						return l.Checkpoint(ctx, checkpoint.Offset(5), behind(1))
					}, false)
					if err != nil {
						t.Fatal(err)
					}
					fired := w.wire.once(with, func(_ string, row lease.Row) bool { return isShard(row, "a") && has(row, behind(2).String()) })
					if err := j.order(step.do, true); err != nil {
						t.Errorf("%s: %v", step.name, err)
					}
					<-fired
					w.wire.land()
					f.until("work on a again", func() bool { return w.job("a") != nil && w.job("a") != j })
					if got := w.job("a").Ahead(); got != behind(2) {
						t.Errorf("the next owner begins with %q behind the position, want %q", got, behind(2))
					}
				})
			})
		}
	}
}

// The same position and the same behind it are no news.
func TestWhatIsStoredAlreadyIsNotWrittenAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		defer f.close()
		w := f.join()
		f.until("work on a", func() bool { return w.job("a") != nil })
		store := func(p uint64, a checkpoint.Ahead) uint64 {
			if err := w.job("a").order(func(ctx context.Context, l *lease.Lease) error { return l.Checkpoint(ctx, checkpoint.Offset(p), a) }, false); err != nil {
				t.Fatal(err)
			}
			row, _ := f.store.row("orders/S/one/a")
			return row.version
		}
		first := store(5, behind(1))
		if got := store(5, behind(1)); got != first {
			t.Errorf("version %d after the same again, want %d", got, first)
		}
		if got := store(5, behind(2)); got != first+1 {
			t.Errorf("version %d after more was done, want %d", got, first+1)
		}
		if got := store(5, checkpoint.Ahead{}); got != first+2 {
			t.Errorf("version %d after nothing is left behind, want %d", got, first+2)
		}
	})
}

// Who releases below the stored position leaves what is stored, of both.
func TestAReleaseBelowTheStoredPositionKeepsWhatIsStoredBehindThat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		defer f.close()
		w := f.join()
		f.until("work on a", func() bool { return w.job("a") != nil })
		j := w.job("a")
		_ = j.order(func(ctx context.Context, l *lease.Lease) error {
			if err := l.Checkpoint(ctx, checkpoint.Offset(5), behind(1)); err != nil {
				t.Error(err)
			}
			return l.Release(ctx, checkpoint.Offset(3), behind(2))
		}, true) // its error is another test's
		f.watch(15 * time.Second)
		if k := w.job("a"); k == nil || k == j || k.Position() != checkpoint.Offset(5) || k.Ahead() != behind(1) {
			t.Errorf("after the release: %+v, want both as they were stored", f.store.lease("a"))
		}
	})
}
