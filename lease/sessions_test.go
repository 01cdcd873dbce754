package lease_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

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
				f.until("third worker with all shards", func() bool { return len(ws[2].shards()) == 6 })
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
