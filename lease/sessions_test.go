package lease_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/lease"
)

// A worker whose store calls hang stops on its own before anybody may take its shards.
func TestAStalledWorkerStopsBeforeOthersMayTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ids(6)...)
		defer f.close()
		ws := f.joinAll(2)
		f.watch(20 * time.Second)
		stalled := ws[0].all()
		ws[0].wire.hang()
		began := time.Now()
		ended := make(map[string]time.Duration)
		for range 16 * time.Second / tick {
			f.watch(tick)
			for _, j := range stalled {
				id := j.Shard().ID
				if _, known := ended[id]; !known && j.ctx.Err() != nil {
					ended[id] = time.Since(began)
				}
			}
			for id, took := range ended {
				if j := ws[1].job(id); j != nil && took > 8*time.Second {
					t.Fatalf("shard %s: the stalled worker's context ended after %v", id, took)
				}
			}
		}
		if got := len(ws[1].shards()); got != 6 {
			t.Errorf("the other has %d shards, want 6", got)
		}
		ws[0].wire.resume()
		f.watch(20 * time.Second)
		if got := counts(ws); got[0] != 3 {
			t.Errorf("shards of each after the stall: %v, want 3 each", got)
		}
	})
}

func TestValidAsksTheClockAndEndsTheWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		defer f.close()
		w := f.join()
		f.until("work on a", func() bool { return w.job("a") != nil })
		j := w.job("a")
		w.wire.hang()
		for j.Valid() {
			pass(t, time.Millisecond)
		}
		if !errors.Is(context.Cause(j.ctx), lease.ErrLost) {
			t.Error("Valid is false and the context of the work has not ended")
		}
		w.wire.resume()
		f.watch(5 * time.Second)
		if j.Valid() {
			t.Error("a lease is valid again that was not")
		}
		if again := w.job("a"); again == nil || again.Epoch() != j.Epoch()+1 {
			t.Error("the shard was not taken again in a new epoch")
		}
	})
}

// A delayed duplicate of the join could revive a row that was removed: only a heartbeat that is acknowledged counts.
func TestNothingIsTakenBeforeTheFirstAcknowledgedHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		defer f.close()
		f.wiring = func(w *wire) {
			w.next(func(op string, row lease.Row) fault {
				if steps["first beat"](op, row) {
					return failed
				}
				return noFault
			})
		}
		w := f.join()
		f.watch(5 * time.Second)
		if len(w.all()) != 0 || w.wire.written("S")+w.wire.written("M") != 0 {
			t.Errorf("%d leases, %d writes of shards without a heartbeat", len(w.all()), w.wire.written("S"))
		}
		w.wire.next(nil)
		f.until("work on a", func() bool { return w.job("a") != nil })
	})
}

// The answer to a heartbeat whose first sending was long ago makes nobody valid until long from now.
func TestAHeartbeatAnsweredLateCountsFromItsSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		defer f.close()
		w := f.join()
		f.until("work on a", func() bool { return w.job("a") != nil })
		j := w.job("a")
		var last time.Time // when the last heartbeat was sent that was applied
		cut := false
		w.wire.next(func(op string, row lease.Row) fault {
			switch {
			case !steps["heartbeat"](op, row):
				return noFault
			case cut:
				return failed
			}
			last, cut = time.Now(), true
			return lostAnswer
		})
		for j.Valid() {
			pass(t, time.Millisecond)
		}
		if got := time.Since(last); got < 7990*time.Millisecond || got > 8010*time.Millisecond {
			t.Errorf("valid until %v after the sending, want 8 s", got)
		}
	})
}

// A shard is never freed, nor taken again by its own process, under a handler that still runs.
func TestAShardIsNotFreedUnderARunningHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a", "b")
		w := f.join()
		f.until("work on both", func() bool { return len(w.shards()) == 2 })
		handler := make(chan struct{})
		w.job("a").leave(handler)
		f.watch(time.Minute)
		if w.job("a") != nil || f.store.lease("a").Owner == "" || f.store.lease("a").Epoch != 1 {
			t.Errorf("with its handler running: %+v", f.store.lease("a"))
		}
		close(handler)
		f.until("work on a again", func() bool { return w.job("a") != nil })
		if got := w.job("a").Epoch(); got != 2 {
			t.Errorf("taken again in epoch %d, want 2", got)
		}
		f.close()
	})
}

func TestRunNamesTheShardsOfWhichAHandlerStillRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a", "b")
		w := f.join()
		f.until("work on both", func() bool { return len(w.shards()) == 2 })
		session := w.job("a").Session()
		handler := make(chan struct{})
		w.job("a").leave(handler)
		w.stop(nil)
		<-w.done
		if !errors.Is(w.err, lease.ErrRunning) || !strings.Contains(w.err.Error(), "shards a ") {
			t.Errorf("Run: %v, want ErrRunning that names shard a", w.err)
		}
		if _, there := f.store.row("W/" + session); !there || f.store.lease("a").Owner != session {
			t.Errorf("freed under a running handler: %+v", f.store.lease("a"))
		}
		if f.store.lease("b").Owner != "" {
			t.Error("shard b was not released")
		}
		close(handler)
		second := f.join()
		f.until("work on a by another", func() bool { return second.job("a") != nil })
		w.err = nil
		f.close()
	})
}

// A process that joined anew takes nothing whose old handler still runs in it.
func TestAProcessThatJoinedAnewWaitsForItsOldHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		defer f.close()
		ws := f.joinAll(2)
		var w, other *crew
		f.until("work on a", func() bool {
			for i := range ws {
				if ws[i].job("a") != nil {
					w, other = ws[i], ws[1-i]
				}
			}
			return w != nil
		})
		handler := make(chan struct{})
		old := w.job("a")
		go func() {
			_ = old.order(func(context.Context, *lease.Lease) error { <-handler; return nil }, true)
		}()
		w.wire.fail(errFailed)
		f.until("work by the other", func() bool { return other.job("a") != nil })
		w.wire.resume()
		f.watch(10 * time.Second)
		other.stop(nil)
		<-other.done
		f.watch(20 * time.Second)
		if w.job("a") != old {
			t.Error("taken again although the old handler still runs")
		}
		close(handler)
		f.until("work on a by the process that joined anew", func() bool { return w.job("a") != nil && w.job("a") != old })
	})
}

func TestAMissingSessionIsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		defer f.close()
		w := f.join()
		f.until("work on a", func() bool { return w.job("a") != nil })
		old := w.job("a")
		rows, err := f.store.Get(t.Context(), []string{"W/" + old.Session()})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.store.store.Delete(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
		second := f.join()
		removed := time.Now()
		f.until("the end of the session that was removed", func() bool { return old.ctx.Err() != nil })
		f.until("work on a again", func() bool { return len(w.shards())+len(second.shards()) == 1 })
		if took := time.Since(removed); took < 10*time.Second {
			t.Errorf("taken %v after its session was found missing, want the expiry, 10 s, at least", took)
		}
	})
}

// What could not read for a while must not judge: after an outage of the store nobody is killed.
func TestAfterAnOutageOfTheStoreNobodyIsKilled(t *testing.T) {
	for _, outage := range []time.Duration{6 * time.Second, 9 * time.Second, 12 * time.Second, 30 * time.Second} {
		t.Run(fmt.Sprint(outage), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, ids(6)...)
				defer f.close()
				ws := f.joinAll(3)
				f.watch(20 * time.Second)
				sessions := make(map[string]bool)
				for _, w := range ws {
					sessions[w.all()[len(w.all())-1].Session()] = true
					w.wire.fail(errFailed)
				}
				f.watch(outage)
				for _, w := range ws {
					w.wire.resume()
				}
				f.watch(30 * time.Second)
				for _, w := range ws {
					for _, id := range w.shards() {
						if !sessions[w.job(id).Session()] {
							t.Errorf("%s joined anew: it was killed after the outage", w.name)
						}
					}
				}
				if got := counts(ws); got[0] != 2 {
					t.Errorf("shards of each worker: %v, want 2 each", got)
				}
			})
		})
	}
}

// A worker that heartbeats and takes nothing would keep what is meant for it from everybody.
func TestAWorkerThatCannotPollOrTakeDies(t *testing.T) {
	for name, broken := range map[string]func(w *wire){
		"cannot list":                 func(w *wire) { w.noList = true },
		"cannot read the application": func(w *wire) { w.noGet = "A" },
		"cannot read the shards":      func(w *wire) { w.noGet = "S" },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, ids(6)...)
				defer f.close()
				ws := f.joinAll(3)
				f.watch(20 * time.Second)
				ws[0].wire.set(func() { broken(ws[0].wire) })
				ws[1].wire.fail(errFailed) // and some of its shards are meant for the first
				f.watch(60 * time.Second)
				if got := len(ws[2].shards()); got != 6 {
					t.Errorf("the third worker has %d shards, want all 6", got)
				}
				ws[0].wire.set(func() { ws[0].wire.noList, ws[0].wire.noGet = false, "" })
			})
		})
	}
}

// An older read of the owner would lack the session that joined and took meanwhile.
func TestTheEvidenceOfATakeIsReadAfterTheRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "p", "q")
		defer f.close()
		first := f.join()
		f.until("work on both", func() bool { return len(first.shards()) == 2 })
		session := first.job("p").Session()
		if err := first.job("q").end(9, lease.Shard{ID: "c", Parents: []string{"q"}}); err != nil {
			t.Fatal(err)
		}
		f.until("work on c", func() bool { return first.job("c") != nil })
		second := f.join()
		f.watch(time.Second)
		takes := 0
		second.wire.set(func() {
			second.wire.took = func(row lease.Row) {
				if kind(row.Key) != "S" || !has(row, `"owner":"worker2`) {
					return
				}
				takes++
				evidence := []string{"orders/A", "W/" + session}
				if isShard(row, "c") {
					evidence = append(evidence, "orders/S/one/q")
				}
				for _, key := range evidence {
					if second.wire.gets[key] <= second.wire.gets[row.Key] {
						t.Errorf("%s was taken on evidence that was read before it: %s", row.Key, key)
					}
				}
			}
		})
		first.wire.fail(errFailed)
		f.until("work by another", func() bool { return len(second.shards()) == 2 })
		if takes < 2 {
			t.Errorf("%d takes were seen, want two", takes)
		}
	})
}

func TestSetupThatFailsEndsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		f.wiring = func(w *wire) { w.fail(fmt.Errorf("no index: %w", lease.ErrTable)) }
		w := f.join()
		began := time.Now()
		<-w.done
		if !errors.Is(w.err, lease.ErrTable) || time.Since(began) > time.Second {
			t.Errorf("Run: %v after %v, want ErrTable at once", w.err, time.Since(began))
		}
		f.wiring = func(w *wire) { w.fail(errFailed) }
		w = f.join()
		<-w.done
		if !errors.Is(w.err, errFailed) {
			t.Errorf("Run: %v, want why the store could not be set up", w.err)
		}
	})
}

func TestAnApplicationThatBecomesCorruptStopsNothingThatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ids(4)...)
		ws := f.joinAll(2)
		f.watch(20 * time.Second)
		rows, err := f.store.Get(t.Context(), []string{"orders/A"})
		if err != nil {
			t.Fatal(err)
		}
		good := rows[0]
		rows[0].Value = []byte(`half`)
		if err := f.store.store.Put(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
		running := ws[0].all()
		ws[1].wire.fail(errFailed)
		f.watch(2 * time.Minute)
		for _, j := range running {
			if id := j.Shard().ID; ws[0].job(id) != nil && ws[0].job(id).Epoch() != j.Epoch() {
				t.Errorf("shard %s was taken again", id)
			}
		}
		if got := len(ws[0].shards()); got != 2 {
			t.Errorf("%d shards are worked on, want the two that were, and none taken", got)
		}
		told := 0
		for _, err := range ws[0].errors {
			if errors.Is(err, lease.ErrRow) {
				told++
			}
		}
		if told != 1 {
			t.Errorf("told of the corrupt row %d times, want once", told)
		}
		rows[0].Version, rows[0].Value = good.Version+1, good.Value
		if err := f.store.store.Put(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
		f.until("work on all", func() bool { return len(ws[0].shards()) == 4 })
		f.close()
	})
}

func TestRowsThatWereRemovedAreMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		defer f.close()
		w := f.join()
		f.until("work on a", func() bool { return w.job("a") != nil })
		if err := w.job("a").end(9); err != nil {
			t.Fatal(err)
		}
		f.watch(10 * time.Second)
		rows, err := f.store.Get(t.Context(), []string{"orders/S/one/a"})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.store.store.Delete(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
		f.store.holder = make(map[string]string) // epochs begin anew: an operator's removal raises no floor
		f.watch(70 * time.Second)
		if j := w.job("a"); j == nil || !j.Position().IsZero() {
			t.Errorf("after its row was removed: %+v", f.store.lease("a"))
		}
	})
}

func TestACorruptApplicationEndsRunAndIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		if err := f.store.store.Put(t.Context(), []lease.Row{{Key: "orders/A", Value: []byte(`{"stream":7}`)}}); err != nil {
			t.Fatal(err)
		}
		w := f.join()
		<-w.done
		if !errors.Is(w.err, lease.ErrRow) || !strings.Contains(w.err.Error(), "orders/A") {
			t.Errorf("Run: %v, want ErrRow that names the row", w.err)
		}
		rows, _ := f.store.Get(t.Context(), []string{"orders/A"})
		if string(rows[0].Value) != `{"stream":7}` {
			t.Errorf("the row is %s now", rows[0].Value)
		}
	})
}

// It timed out, was read as not applied, the owner went on, and it landed: so the owner never goes on.
func TestOnceAReleaseWasSentItsEpochIsOver(t *testing.T) {
	for name, end := range map[string]func(context.Context, *lease.Lease) error{
		"release": func(ctx context.Context, l *lease.Lease) error { return l.Release(ctx, checkpoint.Offset(5)) },
		"end":     func(ctx context.Context, l *lease.Lease) error { return l.End(ctx, checkpoint.Offset(5), nil) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, "a")
				defer f.close()
				w := f.join()
				f.until("work on a", func() bool { return w.job("a") != nil })
				first := w.job("a")
				w.wire.next(func(_ string, row lease.Row) fault {
					if isShard(row, "a") {
						return delayed
					}
					return noFault
				})
				err := first.order(func(ctx context.Context, l *lease.Lease) error {
					limited, cancel := context.WithTimeout(ctx, 3*time.Second)
					defer cancel()
					err := end(limited, l)
					if l.Valid() {
						t.Error("the lease is valid")
					}
					if err := l.Checkpoint(ctx, checkpoint.Offset(6)); !errors.Is(err, lease.ErrLost) {
						t.Errorf("checkpoint: %v, want ErrLost", err)
					}
					if err := l.Release(ctx, checkpoint.Offset(6)); !errors.Is(err, lease.ErrLost) {
						t.Errorf("another release: %v, want ErrLost", err)
					}
					return err
				}, true)
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s: %v, want the end of its ctx", name, err)
				}
				w.wire.next(nil)
				f.until("work on a again", func() bool { return w.job("a") != nil && w.job("a") != first })
				w.wire.land()
				f.watch(10 * time.Second)
				if got := f.store.lease("a"); got.Epoch != 2 || got.Owner == "" || got.State != "open" || !got.Position.IsZero() {
					t.Errorf("after the late write: %+v, want the second epoch untouched", got)
				}
			})
		})
	}
}

// A release that got lost leaves a row that names a living worker, which gives it up once it no longer runs it.
func TestAReleaseThatFailedIsMadeGoodWhenAShardMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a", "b")
		defer f.close()
		first := f.join()
		first.grace = time.Second
		f.until("work on both", func() bool { return len(first.shards()) == 2 })
		first.wire.next(func(_ string, row lease.Row) fault {
			if kind(row.Key) == "S" {
				return failed
			}
			return noFault
		})
		second := f.join()
		f.until("a return without a release", func() bool { return first.job("a") == nil || first.job("b") == nil })
		if first.shards() == nil || f.store.lease("a").Owner == "" || f.store.lease("b").Owner == "" {
			t.Fatalf("a %+v, b %+v", f.store.lease("a"), f.store.lease("b"))
		}
		first.wire.next(nil)
		f.watch(5 * time.Second)
		if len(first.shards()) != 1 || len(second.shards()) != 1 {
			t.Errorf("shards of each: %v and %v", first.shards(), second.shards())
		}
	})
}

func TestAReleaseThatFailedIsMadeGoodAtTheStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a", "b")
		defer f.close()
		first := f.join()
		first.grace = time.Second
		f.until("work on both", func() bool { return len(first.shards()) == 2 })
		stopped := time.Now()
		first.wire.next(func(_ string, row lease.Row) fault {
			if kind(row.Key) == "S" && time.Since(stopped) < first.grace {
				return failed
			}
			return noFault
		})
		first.stop(nil)
		<-first.done
		if took := time.Since(stopped); took < first.grace {
			t.Fatalf("stopped after %v", took)
		}
		for _, id := range []string{"a", "b"} {
			if got := f.store.lease(id); got.Owner != "" {
				t.Errorf("shard %s is left to %s", id, got.Owner)
			}
		}
	})
}
