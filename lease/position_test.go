package lease_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/lease"
)

func TestHazard02_LatestIsPinnedOnceAndKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a", "b")
		defer f.close()
		f.config = func(c *lease.Config) { c.Start = checkpoint.Latest() }
		ws := f.joinAll(3)
		began := time.Now()
		f.watch(20 * time.Second)
		f.stream.add(lease.Shard{ID: "late"})
		ws[0].stop(nil)
		ws[1].wire.fail(errFailed)
		f.watch(80 * time.Second)
		for _, id := range []string{"a", "b", "late"} {
			j := ws[2].job(id)
			if j == nil || j.Start().Kind() != checkpoint.StartAtTime || j.Start().Time().Sub(began) > time.Second {
				t.Errorf("shard %s after a takeover begins at %v, want the instant when the application began", id, f.store.lease(id).Start)
			}
		}
		if f.stream.pins != 1 {
			t.Errorf("LATEST was resolved %d times, want once", f.stream.pins)
		}
	})
}

func TestHazard02_NothingBeginsBeforeLatestIsPinned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		defer f.close()
		down := true
		f.config = func(c *lease.Config) {
			pin := c.Pin
			c.Start = checkpoint.Latest()
			c.Pin = func(ctx context.Context, at checkpoint.Start) (checkpoint.Start, error) {
				if down {
					return at, errFailed
				}
				return pin(ctx, at)
			}
		}
		w := f.join()
		f.watch(20 * time.Second)
		if _, there := f.store.row("orders/S/one/a"); there {
			t.Error("a shard has a row before LATEST was resolved")
		}
		down = false
		f.until("work on a", func() bool { return w.job("a") != nil })
	})
}

func TestHazard03_DescendantsBeginAtTheirFirstRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		defer f.close()
		f.config = func(c *lease.Config) { c.Start = checkpoint.Latest() }
		f.stream.add(lease.Shard{ID: "b", Parents: []string{"a"}}) // existed when the application began
		w := f.join()
		f.until("work on a", func() bool { return w.job("a") != nil })
		if got := f.store.lease("b").Start.Kind(); got != checkpoint.StartAtTime {
			t.Errorf("b, which was there, begins at kind %v: it must not replay its past", got)
		}
		if err := w.job("a").end(1, lease.Shard{ID: "c", Parents: []string{"a"}}); err != nil {
			t.Fatal(err)
		}
		f.stream.add(lease.Shard{ID: "c", Parents: []string{"a"}}, lease.Shard{ID: "d", Parents: []string{"b"}}, lease.Shard{ID: "e"})
		f.watch(40 * time.Second)
		for id, want := range map[string]checkpoint.StartKind{
			"c": checkpoint.StartTrimHorizon, "d": checkpoint.StartTrimHorizon, "e": checkpoint.StartAtTime,
		} {
			if got := f.store.lease(id).Start.Kind(); got != want {
				t.Errorf("%s begins at kind %v, want %v", id, got, want)
			}
		}
	})
}

func TestHazard04_PositionNeverGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		defer f.close()
		w := f.join()
		f.until("work on a", func() bool { return w.job("a") != nil })
		j := w.job("a")
		if err := j.checkpoint(9); err != nil {
			t.Fatal(err)
		}
		if err := j.checkpoint(8); !errors.Is(err, lease.ErrPosition) || !strings.Contains(err.Error(), "shard a") {
			t.Errorf("checkpoint below the stored one: %v, want ErrPosition that names the shard", err)
		}
		w.wire.once(duplicated, func(_ string, row lease.Row) bool { return has(row, `"position":"10"`) })
		if err := errors.Join(j.checkpoint(10), j.checkpoint(11)); err != nil {
			t.Fatal(err)
		}
		w.wire.land()
		if got := f.store.lease("a").Position.String(); got != "11" {
			t.Errorf("position %s after a late duplicate, want 11", got)
		}
		err := j.order(func(ctx context.Context, l *lease.Lease) error {
			return l.Release(ctx, checkpoint.Offset(3), checkpoint.Ahead{})
		}, true)
		if !errors.Is(err, lease.ErrPosition) {
			t.Errorf("release below the stored one: %v, want ErrPosition", err)
		}
		if got := f.store.lease("a"); got.Position.String() != "11" || got.Owner != "" {
			t.Errorf("after the release: %+v, want it given up at 11", got)
		}
	})
}

func TestHazard08_AnIdleShardKeepsItsLeaseAndIsTakenOverWhereItShouldStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		defer f.close()
		f.config = func(c *lease.Config) { c.Start = checkpoint.AtTime(time.Unix(77, 0)) }
		first := f.join()
		f.watch(time.Second)
		second := f.join()
		f.watch(5 * time.Minute)
		if j := first.job("a"); j == nil || !j.Valid() || j.Epoch() != 1 {
			t.Fatalf("the idle shard did not keep its lease: %+v", f.store.lease("a"))
		}
		first.wire.fail(errFailed)
		f.until("work by another", func() bool { return second.job("a") != nil })
		if got := second.job("a").Start(); got != checkpoint.AtTime(time.Unix(77, 0)) {
			t.Errorf("the shard begins at %v", got)
		}
	})
}

func TestAListingThatBreaksOffIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a", "b")
		defer f.close()
		f.stream.fails = errFailed
		w := f.join()
		f.watch(5 * time.Second)
		if got := w.shards(); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("worked on: %v, want what was listed before the error", got)
		}
		if app, _ := f.store.row("orders/A"); app.Listed {
			t.Error("the listing counts as complete")
		}
	})
}

// Others may change what is not the owner's, such as a parent that a listing had left out, or an operator's request.
func TestACheckpointGoesOnOverAChangeThatIsNotTheOwners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		defer f.close()
		w := f.join()
		f.until("work on a", func() bool { return w.job("a") != nil })
		rows, err := f.store.Get(t.Context(), []string{"orders/S/one/a"})
		if err != nil {
			t.Fatal(err)
		}
		rows[0].Value = []byte(strings.Replace(string(rows[0].Value), `"request":null`, `"request":{"pause":true}`, 1))
		if errs := f.store.Put(t.Context(), rows); errs != nil {
			t.Fatal(errs)
		}
		if err := w.job("a").checkpoint(5); err != nil {
			t.Errorf("checkpoint: %v", err)
		}
		if len(w.errors) != 0 {
			t.Errorf("told of %v, which harms nobody", w.errors)
		}
		rows, err = f.store.Get(t.Context(), []string{"orders/S/one/a"})
		if err != nil || !has(rows[0], `"request":{"pause":true}`, `"position":"5"`) {
			t.Errorf("the row: %s, %v", rows[0].Value, err)
		}
	})
}
