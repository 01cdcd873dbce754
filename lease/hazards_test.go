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
		err := j.order(func(ctx context.Context, l *lease.Lease) error { return l.Release(ctx, checkpoint.Offset(3)) }, true)
		if !errors.Is(err, lease.ErrPosition) {
			t.Errorf("release below the stored one: %v, want ErrPosition", err)
		}
		if got := f.store.lease("a"); got.Position.String() != "11" || got.Owner != "" {
			t.Errorf("after the release: %+v, want it given up at 11", got)
		}
	})
}

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

func TestHazard15_LossCancelsTheWorkAndItsCheckpointFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		defer f.close()
		w := f.join()
		f.until("work on a", func() bool { return w.job("a") != nil })
		held := make(chan *lease.Lease, 1)
		lost := make(chan error, 1)
		go func() {
			lost <- w.job("a").order(func(ctx context.Context, l *lease.Lease) error {
				held <- l
				<-ctx.Done()
				cause := context.Cause(ctx)
				return errors.Join(cause, l.Checkpoint(context.WithoutCancel(ctx), checkpoint.Offset(5)))
			}, true)
		}()
		l := <-held
		w.wire.fail(errFailed)
		err := <-lost
		if !errors.Is(err, lease.ErrLost) || !strings.Contains(err.Error(), "checkpoint shard a") {
			t.Errorf("cause and checkpoint: %v, want ErrLost of both", err)
		}
		if l.Valid() {
			t.Error("the lease is valid")
		}
		w.wire.resume()
		f.watch(30 * time.Second)
		if got := f.store.lease("a").Position; !got.IsZero() {
			t.Errorf("position %s was stored by a lease that was lost", got)
		}
	})
}

func TestHazard16_AStaleOwnerCannotTakeTheRowBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		defer f.close()
		first := f.join()
		f.until("work on a", func() bool { return first.job("a") != nil })
		if err := first.job("a").checkpoint(5); err != nil {
			t.Fatal(err)
		}
		first.wire.once(delayed, func(_ string, row lease.Row) bool { return has(row, `"position":"6"`) })
		sent := make(chan error, 1)
		go func() { sent <- first.job("a").checkpoint(6) }()
		synctest.Wait()
		first.wire.fail(errFailed)
		if err := <-sent; !errors.Is(err, lease.ErrLost) {
			t.Errorf("the checkpoint of a worker that was cut off: %v, want ErrLost", err)
		}
		second := f.join()
		f.until("work by another", func() bool { return second.job("a") != nil })
		if err := second.job("a").checkpoint(8); err != nil {
			t.Fatal(err)
		}
		first.wire.land() // and the write that was on its way
		first.wire.resume()
		f.watch(20 * time.Second)
		if got := f.store.lease("a"); got.Position.String() != "8" || got.Owner != second.job("a").Session() {
			t.Errorf("after the old owner is back: %+v", got)
		}
	})
}

func TestHazard18_SlowHandlersDoNotStarveHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		defer f.close()
		f.stream.add(lease.Shard{ID: "c", Parents: []string{"a"}}) // waits all the while
		w := f.join()
		f.until("work on a", func() bool { return w.job("a") != nil })
		j := w.job("a")
		slow := make(chan struct{})
		done := make(chan error, 1)
		go func() {
			done <- j.order(func(context.Context, *lease.Lease) error { <-slow; return nil }, false)
		}()
		f.watch(30 * time.Minute / 10)
		if !j.Valid() || f.store.lease("a").Epoch != 1 {
			t.Errorf("the lease of a slow handler: %+v", f.store.lease("a"))
		}
		close(slow)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestHazard19_ShutdownReturnsWithADeadStore(t *testing.T) {
	for name, kill := range map[string]func(*wire){"hanging": (*wire).hang, "failing": func(w *wire) { w.fail(errFailed) }} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, "a", "b")
				w := f.join()
				f.watch(5 * time.Second)
				kill(w.wire)
				began := time.Now()
				w.stop(nil)
				<-w.done
				if took := time.Since(began); took > 12*time.Second {
					t.Errorf("Run returned after %v, want Expiry and one request at most", took)
				}
				if w.err != nil {
					t.Errorf("Run: %v", w.err)
				}
			})
		})
	}
}

func TestHazard19_ShutdownReturnsBeforeTheStoreWasEverReached(t *testing.T) {
	for name, kill := range map[string]func(*wire){"hanging": (*wire).hang, "failing": func(w *wire) { w.fail(errFailed) }} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, "a")
				f.wiring = kill
				w := f.join()
				pass(t, 100*time.Millisecond)
				w.stop(nil)
				<-w.done
				if w.err != nil {
					t.Errorf("Run: %v", w.err)
				}
			})
		})
	}
}

func TestHazard20_OneShardsErrorLeavesTheOthersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a", "b", "c")
		defer f.close()
		w := f.join()
		f.until("work on all", func() bool { return len(w.shards()) == 3 })
		b := w.job("b")
		b.leave(nil) // without a word
		rows, err := f.store.Get(t.Context(), []string{"orders/S/one/a"})
		if err != nil {
			t.Fatal(err)
		}
		rows[0].Value, rows[0].Cursor = []byte(`{"state":"half a ro`), ""
		if err := f.store.store.Put(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
		if err := w.job("a").checkpoint(5); !errors.Is(err, lease.ErrLost) || !errors.Is(err, lease.ErrRow) {
			t.Errorf("checkpoint over a corrupt row: %v, want ErrLost and ErrRow", err)
		}
		c := w.job("c")
		f.watch(2 * time.Minute)
		if w.job("c") != c || !c.Valid() {
			t.Error("shard c was not left alone")
		}
		if got := w.shards(); !slices.Equal(got, []string{"b", "c"}) {
			t.Errorf("worked on: %v, want b again and c", got)
		}
		if !slices.ContainsFunc(w.errors, func(err error) bool {
			return errors.Is(err, lease.ErrRow) && strings.Contains(err.Error(), "orders/S/one/a")
		}) {
			t.Errorf("nobody was told of the corrupt row: %v", w.errors)
		}
		if rows, err = f.store.Get(t.Context(), []string{"orders/S/one/a"}); err != nil || string(rows[0].Value) != `{"state":"half a ro` {
			t.Errorf("the corrupt row was written: %s", rows[0].Value)
		}
	})
}

func TestWorkThatReturnsAtOnceIsNotBegunWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		defer f.close()
		calls := 0
		f.config = func(c *lease.Config) {
			c.Work = func(context.Context, *lease.Lease) <-chan struct{} { calls++; return nil }
		}
		f.join()
		f.watch(time.Minute)
		if calls < 3 || calls > 10 {
			t.Errorf("begun %d times in a minute, want a few", calls)
		}
	})
}

func TestHazard21_TwoWorkersRaceForOneRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		defer f.close()
		f.wiring = func(w *wire) { // the listing shows every worker itself alone, so that all want the shard
			w.alone = true
		}
		ws := f.joinAll(5)
		f.watch(20 * time.Second)
		if got := counts(ws); !slices.Equal(got, []int{0, 0, 0, 0, 1}) {
			t.Errorf("shards of each worker: %v, want one winner", got)
		}
	})
}

func TestHazard22_AThrottledStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ids(6)...)
		defer f.close()
		w := f.join()
		f.watch(5 * time.Second)
		before := w.all()
		w.wire.fail(errThrottled)
		began := time.Now()
		for w.job("shard-00") != nil {
			pass(t, tick)
		}
		if took := time.Since(began); took > 8*time.Second {
			t.Errorf("work stopped after %v, want before validity ended", took)
		}
		for _, j := range before {
			if !errors.Is(context.Cause(j.ctx), lease.ErrLost) {
				t.Errorf("shard %s: its context ended with %v, want ErrLost", j.Shard().ID, context.Cause(j.ctx))
			}
		}
		w.wire.set(func() { w.wire.requests = 0 })
		pass(t, time.Minute)
		w.wire.set(func() {
			if n := w.wire.requests; n > 60*8 {
				t.Errorf("%d requests in a minute to a store that throttles, want back-off", n)
			}
		})
		w.wire.resume()
		f.watch(5 * time.Second)
		if got := len(w.shards()); got != 6 {
			t.Errorf("%d shards after it recovered, want 6", got)
		}
	})
}

func TestHazard22_ASlowSpellIsSurvivedInTheSameSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ids(4)...)
		defer f.close()
		w := f.join()
		f.watch(5 * time.Second)
		session := w.job("shard-00").Session()
		w.wire.fail(errThrottled)
		f.watch(9 * time.Second)
		w.wire.resume()
		f.watch(5 * time.Second)
		if got := len(w.shards()); got != 4 {
			t.Fatalf("%d shards after the spell, want 4", got)
		}
		for _, id := range w.shards() {
			if j := w.job(id); j.Session() != session || j.Epoch() != 2 {
				t.Errorf("shard %s: session %s, epoch %d, want the same session %s and epoch 2", id, j.Session(), j.Epoch(), session)
			}
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
