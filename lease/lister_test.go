package lease_test

import (
	"context"
	"iter"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/lease"
)

// Heartbeats cost 60/Heartbeat writes a minute and worker, the lister's claim one a minute in all, and shards nothing.
func TestAtRestOnlyHeartbeatsAndTheListersClaimAreWrittenAndNothingIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ids(12)...)
		defer f.close()
		var rest atomic.Bool
		defer rest.Store(false)
		f.config = func(c *lease.Config) { c.Logger = slog.New(noisy{t, &rest}) }
		ws := f.joinAll(3)
		f.watch(30 * time.Second)
		rest.Store(true)
		count := func() map[string]int {
			n := make(map[string]int)
			for _, w := range ws {
				for _, k := range []string{"W", "M", "S", "A"} {
					n[k] += w.wire.written(k)
				}
			}
			return n
		}
		before := count()
		pass(t, 10*time.Minute)
		after := count()
		if n := after["W"] - before["W"]; n > 3*300 || n < 3*270 {
			t.Errorf("%d heartbeats in 10 minutes by 3 workers, want 270 to 300 each", n)
		}
		if n := after["A"] - before["A"]; n > 10 || n < 5 {
			t.Errorf("%d claims in 10 minutes, want at most one a minute", n)
		}
		if n := after["S"] - before["S"] + after["M"] - before["M"]; n != 0 {
			t.Errorf("%d writes of shards and members at rest, want none", n)
		}
		for _, w := range ws {
			if len(w.errors) != 0 {
				t.Errorf("%s: %v", w.name, w.errors)
			}
		}
		rest.Store(false)
	})
}

func TestOneWorkerListsForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ids(3)...)
		defer f.close()
		ws := f.joinAll(4)
		f.watch(10 * time.Second)
		f.stream.with(func() { f.stream.listings = 0 })
		f.watch(10 * time.Minute / 10)
		f.stream.with(func() {
			if f.stream.listings > 2 {
				t.Errorf("%d listings in a minute by four workers, want 2", f.stream.listings)
			}
		})
		ws[0].stop(nil)
		ws[1].wire.fail(errFailed) // whoever lists, two are gone
		f.stream.add(lease.Shard{ID: "late"})
		f.watch(50 * time.Second)
		if got := counts(ws[2:]); !slices.Equal(got, []int{2, 2}) {
			t.Errorf("shards of the two that are left: %v, want 2 each, with the one that came later", got)
		}
	})
}

func TestAWorkerThatJoinsLeavesTheListingToWhoDoesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		defer f.close()
		f.join()
		f.watch(5 * time.Second)
		before, _ := f.store.row("orders/A")
		f.joinAll(3)
		f.watch(20 * time.Second)
		if after, _ := f.store.row("orders/A"); after.Lister != before.Lister {
			t.Errorf("%s lists, want %s still", after.Lister, before.Lister)
		}
	})
}

func TestAListerThatHangsIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		defer f.close()
		hung := make(chan struct{})
		f.config = func(c *lease.Config) {
			shards := c.Shards
			c.Shards = func(ctx context.Context) iter.Seq2[lease.Shard, error] {
				select {
				case <-hung:
					return func(yield func(lease.Shard, error) bool) {
						<-ctx.Done()
						yield(lease.Shard{}, context.Cause(ctx))
					}
				default:
					return shards(ctx)
				}
			}
		}
		f.join()
		f.watch(time.Second)
		f.config = nil
		f.join()
		f.watch(5 * time.Second)
		close(hung)
		f.stream.add(lease.Shard{ID: "b"})
		f.watch(4 * time.Minute)
		if f.store.lease("b").Owner == "" {
			t.Error("a shard that came later is not worked on: the lister still hangs")
		}
	})
}
