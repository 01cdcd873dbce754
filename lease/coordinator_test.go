package lease_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/lease"
)

func TestWorkersShareTheShards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ids(12)...)
		defer f.close()
		ws := f.joinAll(3)
		f.watch(20 * time.Second)
		if got := counts(ws); !slices.Equal(got, []int{4, 4, 4}) {
			t.Errorf("shards of each worker: %v, want 4 each", got)
		}
	})
}

func TestANewApplicationBeginsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ids(12)...)
		defer f.close()
		w := f.join()
		f.watch(50 * time.Millisecond)
		if got := len(w.shards()); got != 12 {
			t.Errorf("%d shards after 50 ms, want 12 without waiting for a poll", got)
		}
	})
}

func TestTenWorkersThatBeginInTheSameInstantShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ids(25)...)
		defer f.close()
		ws := f.joinAll(10)
		f.watch(40 * time.Second)
		if got := counts(ws); !slices.Equal(got, []int{2, 2, 2, 2, 2, 3, 3, 3, 3, 3}) {
			t.Errorf("shards of each worker: %v, want 2 or 3", got)
		}
	})
}

// The kill is on a timer: a heartbeat that is seen at the next poll, and the expiry after that.
func TestShardsOfAKilledWorkerAreTakenInTime(t *testing.T) {
	for phase := range 4 {
		t.Run(fmt.Sprint(phase), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, ids(12)...)
				defer f.close()
				f.config = func(c *lease.Config) { c.Timing.Poll = 4 * time.Second }
				ws := f.joinAll(3)
				f.watch(30*time.Second + time.Duration(phase)*time.Second)
				lost := ws[0].shards()
				for _, id := range lost {
					if err := ws[0].job(id).checkpoint(7); err != nil {
						t.Fatal(err)
					}
				}
				ws[0].wire.fail(errFailed)
				f.watch(14500 * time.Millisecond) // Expiry, and Poll with its jitter
				if got := counts(ws[1:]); !slices.Equal(got, []int{6, 6}) {
					t.Fatalf("shards of each survivor: %v, want 6 each", got)
				}
				for _, id := range lost {
					for _, w := range ws[1:] {
						if j := w.job(id); j != nil && j.Position().String() != "7" {
							t.Errorf("shard %s was taken at position %q, want 7", id, j.Position())
						}
					}
				}
			})
		})
	}
}

func TestAWorkerThatWasCutOffJoinsAsANewSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ids(12)...)
		defer f.close()
		ws := f.joinAll(3)
		f.watch(20 * time.Second)
		old := ws[0].all()[0].Session()
		ws[0].wire.fail(errFailed)
		f.watch(20 * time.Second)
		ws[0].wire.resume()
		f.watch(20 * time.Second)
		if got := counts(ws); !slices.Equal(got, []int{4, 4, 4}) {
			t.Errorf("shards of each worker after it came back: %v, want 4 each", got)
		}
		for _, id := range ws[0].shards() {
			if ws[0].job(id).Session() == old {
				t.Errorf("shard %s is held in the session that was dead", id)
			}
		}
	})
}

func TestCleanStopHandsOverAtTheNextPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ids(12)...)
		defer f.close()
		ws := f.joinAll(3)
		f.watch(20 * time.Second)
		moved := ws[0].shards()
		for _, id := range moved {
			if err := ws[0].job(id).checkpoint(7); err != nil {
				t.Fatal(err)
			}
		}
		session := ws[0].job(moved[0]).Session()
		ws[0].stop(nil)
		<-ws[0].done
		f.watch(2500 * time.Millisecond)
		if got := counts(ws[1:]); !slices.Equal(got, []int{6, 6}) {
			t.Errorf("shards of each survivor: %v, want 6 each", got)
		}
		for _, id := range moved {
			if got := f.store.lease(id).Position.String(); got != "7" {
				t.Errorf("shard %s is at %q, want 7", id, got)
			}
		}
		for _, w := range ws {
			if len(w.errors) != 0 {
				t.Errorf("%s: %v", w.name, w.errors)
			}
		}
		for _, key := range []string{"W/" + session, "orders/M/" + session} {
			if _, there := f.store.row(key); there {
				t.Errorf("row %s is left behind", key)
			}
		}
	})
}

func TestAWorkerThatJoinsGetsItsShareAfterTheSettleDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ids(12)...)
		defer f.close()
		first := f.join()
		f.watch(10 * time.Second)
		second := f.join()
		f.watch(4 * time.Second)
		if got := len(first.shards()); got != 12 {
			t.Errorf("%d shards stay for the settle delay, want 12", got)
		}
		f.watch(8 * time.Second)
		if got := counts([]*crew{first, second}); !slices.Equal(got, []int{6, 6}) {
			t.Errorf("shards of each worker: %v, want 6 each", got)
		}
		if got := len(first.all()) + len(second.all()); got != 12+6 {
			t.Errorf("%d leases were taken in all, want 12 and 6 that moved", got)
		}
	})
}

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

func TestTheNameBelongsToAnotherStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		defer f.close()
		f.join()
		f.watch(5 * time.Second)
		f.config = func(c *lease.Config) { c.Stream = "payments" }
		w := f.join()
		<-w.done
		if err := w.err; !errors.Is(err, lease.ErrStream) || !strings.Contains(err.Error(), "payments") || !strings.Contains(err.Error(), "reads stream") {
			t.Errorf("Run: %v, want ErrStream with both streams named", err)
		}
		w.err = nil
		f.watch(5 * time.Second)
		if got := f.workers[0].shards(); !slices.Equal(got, []string{"a"}) {
			t.Errorf("the other application has %v", got)
		}
	})
}

func TestANewIncarnationIsReadFromItsBeginningByAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		defer f.close()
		f.config = func(c *lease.Config) { c.Incarnated = f.stream.incarnated }
		old := f.join()
		f.watch(5 * time.Second)
		if err := old.job("a").checkpoint(9); err != nil {
			t.Fatal(err)
		}
		f.stream.with(func() { f.stream.incarnation = "two" })
		f.config = func(c *lease.Config) { c.Incarnated, c.Incarnation = f.stream.incarnated, "two" }
		f.join()
		f.watch(5 * time.Second)
		<-old.done
		if !errors.Is(old.err, lease.ErrIncarnation) {
			t.Errorf("the worker on the old one: %v, want ErrIncarnation", old.err)
		}
		old.err = nil
		j := f.workers[1].job("a")
		if j == nil || j.Start().String() != "TRIM_HORIZON" || !j.Position().IsZero() {
			t.Errorf("the new one is not read from its beginning: %+v", j)
		}
		if got := f.store.lease("a"); got.Position.String() != "9" || got.Owner != "" {
			t.Errorf("the lease of the old one: %+v, want it kept at 9 and released", got)
		}
	})
}

func TestAWorkerThatIsAloneNoticesANewIncarnation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		defer f.close()
		f.config = func(c *lease.Config) { c.Incarnated = f.stream.incarnated }
		w := f.join()
		f.watch(5 * time.Second)
		f.stream.with(func() { f.stream.incarnation = "two" })
		<-w.done
		if !errors.Is(w.err, lease.ErrIncarnation) {
			t.Errorf("Run: %v, want ErrIncarnation", w.err)
		}
		w.err = nil
		if got := f.store.lease("a"); got.Owner != "" {
			t.Errorf("shard a is left to %s", got.Owner)
		}
	})
}

func TestAWorkerWithAnOldIncarnationDoesNotStopTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		defer f.close()
		f.config = func(c *lease.Config) { c.Incarnated = f.stream.incarnated }
		f.join()
		f.watch(5 * time.Second)
		f.config = func(c *lease.Config) { c.Incarnated, c.Incarnation = f.stream.incarnated, "zero" }
		w := f.join()
		<-w.done
		if !errors.Is(w.err, lease.ErrIncarnation) {
			t.Errorf("Run: %v, want ErrIncarnation", w.err)
		}
		w.err = nil
		f.watch(10 * time.Second)
		if got := f.workers[0].shards(); !slices.Equal(got, []string{"a"}) {
			t.Errorf("shards of the worker on the stream that there is: %v", got)
		}
	})
}

// Nobody else must hear of a checkpoint or a heartbeat: listings of changes would hold every row.
func TestCheckpointsAndHeartbeatsAreNoChangesToList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a", "b")
		defer f.close()
		w := f.join()
		f.watch(10 * time.Second)
		groups := []string{"orders/S/one/", "W/"}
		cursors := make(map[string]string)
		for _, group := range groups {
			for row, err := range f.store.List(t.Context(), group, "") {
				if err != nil {
					t.Fatal(err)
				}
				cursors[group] = max(cursors[group], row.Cursor)
			}
		}
		for n := range uint64(3) {
			if err := w.job("a").checkpoint(n); err != nil {
				t.Fatal(err)
			}
		}
		f.watch(10 * time.Second)
		for _, group := range groups {
			for row, err := range f.store.List(t.Context(), group, cursors[group]) {
				t.Errorf("changed for all to see: %s %s, %v", row.Key, row.Value, err)
			}
		}
		if err := w.job("a").end(9); err != nil {
			t.Fatal(err)
		}
		changes := 0
		for _, err := range f.store.List(t.Context(), groups[0], cursors[groups[0]]) {
			if err != nil {
				t.Fatal(err)
			}
			changes++
		}
		if changes != 1 {
			t.Errorf("%d changes are listed after an end, want one", changes)
		}
	})
}
