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

func TestHazard07_ACrashBetweenChildrenAndEndIsRedone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "p")
		defer f.close()
		ws := f.joinAll(2)
		owner := func() *crew {
			for _, w := range ws {
				if w.job("p") != nil && w.job("p").Valid() {
					return w
				}
			}
			return nil
		}
		f.until("work on p", func() bool { return owner() != nil })
		first := owner()
		first.wire.next(func(_ string, row lease.Row) fault { // the process dies after the children's rows
			if has(row, `"state":"ended"`) {
				first.wire.failing = errFailed
				return failed
			}
			return noFault
		})
		child := lease.Shard{ID: "c", Parents: []string{"p"}}
		f.stream.add(child)
		if err := first.job("p").end(9, child); !errors.Is(err, lease.ErrLost) {
			t.Errorf("end: %v, want ErrLost", err)
		}
		if p := f.store.lease("p"); p.State != "open" {
			t.Fatalf("p: %+v", p)
		}
		if _, there := f.store.row("orders/S/one/c"); !there {
			t.Fatal("c has no row")
		}
		f.until("work on p by another", func() bool { return owner() != nil && owner() != first })
		second := owner()
		if second.job("c") != nil {
			t.Error("c is worked on before p has ended")
		}
		if err := second.job("p").end(9, child); err != nil {
			t.Fatalf("end again: %v", err)
		}
		f.until("work on c", func() bool { return second.job("c") != nil })
	})
}

func TestHazard07_EndFailsWithoutHarmWhenTheChildrenCannotBeMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "p")
		defer f.close()
		w := f.join()
		f.until("work on p", func() bool { return w.job("p") != nil })
		w.wire.next(func(_ string, row lease.Row) fault {
			if isShard(row, "c") {
				return failed
			}
			return noFault
		})
		j := w.job("p")
		err := j.order(func(ctx context.Context, l *lease.Lease) error {
			ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
			defer cancel()
			return l.End(ctx, checkpoint.Offset(9), []lease.Shard{{ID: "c", Parents: []string{"p"}}})
		}, false)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "shard p") {
			t.Errorf("end: %v, want the end of its ctx", err)
		}
		if !j.Valid() || f.store.lease("p").State != "open" {
			t.Error("the lease is not as it was")
		}
		w.wire.next(nil)
		if err := j.checkpoint(10); err != nil {
			t.Errorf("checkpoint afterwards: %v", err)
		}
	})
}

func TestHazard09_ClosedShardsAreReadFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		defer f.close()
		f.stream.add(
			lease.Shard{ID: "c", Parents: []string{"p"}}, // listed before its parent
			lease.Shard{ID: "p", Closed: true, Meta: "x"},
		)
		w := f.join()
		f.watch(30 * time.Second)
		if got := w.shards(); !slices.Equal(got, []string{"p"}) {
			t.Fatalf("worked on: %v, want p alone", got)
		}
		if got := w.job("p").Shard(); !got.Closed || got.Meta != "x" || got.ID != "p" {
			t.Errorf("shard: %+v", got)
		}
		if err := w.job("p").end(9); err != nil {
			t.Fatal(err)
		}
		f.watch(100 * time.Millisecond)
		if got := w.shards(); !slices.Equal(got, []string{"c"}) {
			t.Errorf("worked on: %v, want c at once", got)
		}
	})
}

func TestHazard11_BothParentsOfAMergeEndFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "p", "q")
		defer f.close()
		w := f.join()
		f.until("work on both", func() bool { return len(w.shards()) == 2 })
		child := lease.Shard{ID: "c", Parents: []string{"p", "q"}}
		f.stream.add(child)
		if err := w.job("p").end(9, child); err != nil {
			t.Fatal(err)
		}
		f.watch(time.Minute)
		if got := w.shards(); !slices.Equal(got, []string{"q"}) {
			t.Errorf("after one parent's end: %v, want q alone", got)
		}
		if err := w.job("q").end(9, child); err != nil {
			t.Fatal(err)
		}
		f.watch(100 * time.Millisecond)
		if got := w.shards(); !slices.Equal(got, []string{"c"}) {
			t.Errorf("after both: %v, want c", got)
		}
		if got := f.store.lease("c").Parents; !slices.Equal(got, []string{"p", "q"}) {
			t.Errorf("c names %v", got)
		}
	})
}

func TestHazard11_AParentThatAListingLeftOutIsAdded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "p", "q")
		defer f.close()
		w := f.join()
		f.until("work on both", func() bool { return len(w.shards()) == 2 })
		f.stream.add(lease.Shard{ID: "c", Parents: []string{"q"}})
		f.watch(40 * time.Second)
		f.stream.forget("c")
		f.stream.add(lease.Shard{ID: "c", Parents: []string{"q", "p"}})
		f.watch(40 * time.Second)
		if got := f.store.lease("c").Parents; !slices.Equal(got, []string{"q", "p"}) {
			t.Errorf("c names %v, want q and p", got)
		}
	})
}

func TestHazard12_AParentThatAgedOutDoesNotBlockItsChildren(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		defer f.close()
		f.stream.add(lease.Shard{ID: "c", Parents: []string{"aged-out"}})
		w := f.join()
		f.watch(3 * time.Second)
		if got := w.shards(); !slices.Equal(got, []string{"c"}) {
			t.Errorf("worked on: %v, want c", got)
		}
	})
}

func TestHazard12_AParentThatAListingLeftOutBlocksItsChildren(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "p")
		defer f.close()
		f.stream.add(lease.Shard{ID: "c", Parents: []string{"p"}})
		f.stream.partial["p"] = true
		w := f.join()
		f.watch(2 * time.Minute)
		if got := w.shards(); len(got) != 0 {
			t.Errorf("worked on: %v, though the service knows their parent", got)
		}
		f.stream.with(func() { f.stream.partial["p"] = false })
		f.watch(40 * time.Second)
		if got := w.shards(); !slices.Equal(got, []string{"p"}) {
			t.Errorf("worked on: %v, want p", got)
		}
	})
}

func TestHazard12_AServiceThatDoesNotAnswerReleasesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "other")
		defer f.close()
		f.stream.add(lease.Shard{ID: "c", Parents: []string{"aged-out"}})
		f.config = func(c *lease.Config) {
			c.Gone = func(context.Context, string) (bool, error) { return true, errFailed }
		}
		w := f.join()
		f.watch(2 * time.Minute)
		if got := w.shards(); !slices.Equal(got, []string{"other"}) {
			t.Errorf("worked on: %v, want the one without parents alone", got)
		}
	})
}

func TestHazard13_AnEndWithoutChildrenIsRepairedByTheNextListing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "p")
		defer f.close()
		f.config = func(c *lease.Config) { c.Start = checkpoint.Latest() }
		w := f.join()
		f.until("work on p", func() bool { return w.job("p") != nil })
		if err := w.job("p").end(9); err != nil {
			t.Fatal(err)
		}
		f.stream.add(lease.Shard{ID: "c", Parents: []string{"p"}})
		f.watch(35 * time.Second)
		if j := w.job("c"); j == nil || j.Start() != (checkpoint.Start{}) {
			t.Errorf("c after the next listing: %+v, want work from its first record", f.store.lease("c"))
		}
	})
}
