package lease_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/lease"
)

// A sink knows a higher epoch than a lease table that was restored from a backup: the next epoch is above that, whatever became of the answers.
func TestAnEpochIsLiftedAboveWhatASinkKnows(t *testing.T) {
	for name, f := range map[string]fault{"answered": noFault, "answer lost": lostAnswer, "refused once": failed, "retried by the client": conflicted} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fl := newFleet(t, "a")
				defer fl.close()
				w := fl.join()
				fl.until("work on a", func() bool { return w.job("a") != nil })
				first := w.job("a")
				if err := first.checkpoint(5); err != nil {
					t.Fatal(err)
				}
				w.wire.once(f, func(_ string, row lease.Row) bool { return isShard(row, "a") })
				err := first.order(func(ctx context.Context, l *lease.Lease) error {
					err := l.Lift(ctx, 70, 3)
					if l.Valid() {
						t.Error("the lease is valid")
					}
					return err
				}, true)
				if err != nil {
					t.Errorf("lift: %v", err)
				}
				fl.until("work on a again", func() bool { return w.job("a") != nil && w.job("a") != first })
				again := w.job("a")
				if again.Epoch() != 71 || again.Generation() != 3 || again.Position() != checkpoint.Offset(5) {
					t.Errorf("taken again in epoch %d, generation %d, at %s; want 71, 3 and 5", again.Epoch(), again.Generation(), again.Position())
				}
			})
		})
	}
}
