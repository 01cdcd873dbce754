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
				return errors.Join(cause, l.Checkpoint(context.WithoutCancel(ctx), checkpoint.Offset(5), checkpoint.Ahead{}))
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

// Who was never able to start says why; who was only not answered yet has nothing to say.
func TestHazard19_ShutdownReturnsBeforeTheStoreWasEverReached(t *testing.T) {
	for name, c := range map[string]struct {
		kill func(*wire)
		want error
	}{"hanging": {(*wire).hang, nil}, "failing": {func(w *wire) { w.fail(errFailed) }, errFailed}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, "a")
				f.wiring = c.kill
				w := f.join()
				pass(t, 100*time.Millisecond)
				w.stop(nil)
				<-w.done
				if !errors.Is(w.err, c.want) {
					t.Errorf("Run: %v, want %v", w.err, c.want)
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

// A worker that can heartbeat and list and not read leases is meant for shards that it never takes. It dies, and must not come back before it can.
func TestAWorkerThatCannotReadLeasesTakesNoShardHostage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ids(6)...)
		defer f.close()
		ws := f.joinAll(3)
		f.watch(20 * time.Second)
		ws[0].wire.set(func() { ws[0].wire.noGet = "S" })
		ws[1].wire.fail(errFailed)
		f.watch(60 * time.Second)
		less := 0
		for range 30 {
			f.watch(3 * time.Second)
			if len(ws[2].shards()) < 6 {
				less++
			}
		}
		if less > 0 {
			t.Errorf("in %d of 30 looks the only worker that can take had not every shard", less)
		}
		ws[0].wire.set(func() { ws[0].wire.noGet = "" })
	})
}
