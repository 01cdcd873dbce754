package lease_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/lease"
)

// there tells whether a shard has a row.
func (f *fleet) there(id string) bool {
	_, there := f.store.row("orders/S/one/" + id)
	return there
}

// newSplit is a fleet whose shard p, in epoch 2, was split into a and b and is gone from the service.
func newSplit(t *testing.T) *fleet {
	t.Helper()
	f := newFleet(t, "p")
	f.join()
	f.at("p").leave(nil)
	f.until("work on p again", func() bool { return f.job("p") != nil && f.job("p").Epoch() == 2 })
	a, b := lease.Shard{ID: "a", Parents: []string{"p"}}, lease.Shard{ID: "b", Parents: []string{"p"}}
	f.stream.add(a, b)
	f.ends("p", 9, a, b)
	f.at("a")
	f.at("b")
	f.stream.forget("p")
	return f
}

func (f *fleet) begun(ids ...string) {
	f.t.Helper()
	for _, id := range ids {
		if err := f.at(id).checkpoint(3); err != nil {
			f.t.Fatal(err)
		}
	}
}

func TestHazard14_AFinishedShardIsRemovedWhenItsChildrenAreBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newSplit(t)
		defer f.close()
		f.begun("a")
		f.watch(3 * time.Minute)
		if !f.there("p") {
			t.Fatal("removed before b was begun")
		}
		f.begun("b")
		f.watch(110 * time.Second)
		if f.there("p") {
			t.Error("it is there after a full listing of the rows and two of the shards")
		}
		if app, _ := f.store.row("orders/A"); app.Floor != 2 {
			t.Errorf("the floor is %d, want 2", app.Floor)
		}
		f.watch(2 * time.Minute)
		if f.there("p") || len(f.workers[0].errors) > 0 {
			t.Errorf("it is back, or: %v", f.workers[0].errors)
		}
	})
}

func TestAShardIsNotRemovedWhileTheServiceHasIt(t *testing.T) {
	for name, keep := range map[string]func(f *fleet){
		"listed": func(f *fleet) { f.stream.add(lease.Shard{ID: "p"}) },
		"left out by listings": func(f *fleet) {
			f.stream.add(lease.Shard{ID: "p"})
			f.stream.with(func() { f.stream.partial["p"] = true })
		},
		"listings break off": func(f *fleet) { f.stream.with(func() { f.stream.fails = errFailed }) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newSplit(t)
				defer f.close()
				keep(f)
				f.begun("a", "b")
				f.watch(3 * time.Minute)
				if !f.there("p") {
					t.Error("removed")
				}
			})
		})
	}
}

func TestAShardIsNotRemovedWhileTheServiceDoesNotSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newSplit(t)
		defer f.close()
		f.config = func(c *lease.Config) {
			c.Gone = func(context.Context, string) (bool, error) { return true, errFailed }
		}
		f.stopAll()
		f.join()
		f.begun("a", "b")
		f.watch(3 * time.Minute)
		if !f.there("p") {
			t.Error("removed")
		}
	})
}

// The audit fails the test if a row goes whose epoch lies above the floor.
func TestTheFloorIsRaisedBeforeARowIsRemoved(t *testing.T) {
	for name, with := range faults {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newSplit(t)
				defer f.close()
				fired := f.workers[0].wire.once(with, func(_ string, row lease.Row) bool { return kind(row.Key) == "A" && has(row, `"floor":2`) })
				f.begun("a", "b")
				f.watch(2 * time.Minute)
				f.workers[0].wire.land()
				select {
				case <-fired:
				default:
					t.Error("the fault did not fire")
				}
				if f.there("p") {
					t.Error("p was not removed")
				}
			})
		})
	}
}

func TestAListerThatIsReplacedRemovesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newSplit(t)
		defer f.close()
		w := f.workers[0]
		me := f.at("a").Session()
		meanwhile(w.wire, func(row lease.Row) bool { return kind(row.Key) == "A" && has(row, `"floor":2`) }, func() {
			f.rewrite("orders/A", `"lister":"`+me, `"lister":"x`+me)
		})
		deleted := false
		w.wire.next(func(op string, row lease.Row) fault {
			app, _ := f.store.row("orders/A")
			if op == "delete" && isShard(row, "p") && (app.Floor < 2 || app.Lister != me) {
				deleted = true
			}
			return noFault
		})
		f.begun("a", "b")
		f.watch(3 * time.Minute) // four listings, each with its jitter, and the claim
		if deleted || f.there("p") {
			t.Errorf("removed by another than the lister: %v; there in the end: %v", deleted, f.there("p"))
		}
	})
}

func TestARowThatIsMadeAgainIsRemovedByTheNextSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newSplit(t)
		defer f.close()
		f.begun("a", "b")
		f.watch(110 * time.Second)
		if f.there("p") {
			t.Fatal("p was not removed")
		}
		o, _ := f.operator()
		if err := f.during("pause", func(ctx context.Context) error { return o.PauseAll(ctx) }); err != nil { // so that nobody takes it
			t.Fatal(err)
		}
		late := lease.Row{Key: "orders/S/one/p", Value: []byte(`{"state":"open"}`)}
		if errs := f.store.Put(t.Context(), []lease.Row{late}); errs != nil {
			t.Fatal(errs)
		}
		f.watch(40 * time.Second)
		if f.there("p") {
			t.Error("it is there after a listing")
		}
	})
}

func TestARowThatIsMadeAgainIsTakenAboveTheFloor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newSplit(t)
		defer f.close()
		f.begun("a", "b")
		f.watch(110 * time.Second)
		if f.there("p") {
			t.Fatal("p was not removed")
		}
		late := lease.Row{Key: "orders/S/one/p", Value: []byte(`{"state":"open"}`)}
		if errs := f.store.Put(t.Context(), []lease.Row{late}); errs != nil {
			t.Fatal(errs)
		}
		if got := f.at("p").Epoch(); got != 3 {
			t.Errorf("taken in epoch %d, want 3, above the floor", got)
		}
		f.ends("p", 9)
		f.watch(80 * time.Second)
		if f.there("p") {
			t.Error("it was read to its end again and is still there")
		}
	})
}

func TestTheChildOfARemovedParentIsTakenWithoutAsking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newSplit(t)
		defer f.close()
		f.begun("a", "b")
		f.watch(110 * time.Second)
		if f.there("p") {
			t.Fatal("p was not removed")
		}
		f.stopAll()
		f.config = func(c *lease.Config) {
			c.Gone = func(context.Context, string) (bool, error) { return false, errFailed }
		}
		began := time.Now()
		f.join()
		f.at("a")
		f.at("b")
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("taken after %v", took)
		}
	})
}

func TestTheRowsOfADeadSessionGoAfterALongWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ids(4)...)
		defer f.close()
		ws := f.joinAll(2)
		f.watch(20 * time.Second)
		gone := ws[1].job(ws[1].shards()[0]).Session()
		ws[1].wire.fail(errFailed)
		ws[1].stop(nil)
		f.watch(20 * time.Second)
		if w, there := f.store.row("W/" + gone); !there || w.State != "D" {
			t.Fatalf("%+v, %v, want it dead", w, there)
		}
		f.watch(60 * time.Second)
		if _, there := f.store.row("W/" + gone); !there {
			t.Error("removed a minute after its death")
		}
		f.watch(2 * time.Minute)
		for _, key := range []string{"W/" + gone, "orders/M/" + gone} {
			if _, there := f.store.row(key); there {
				t.Errorf("row %s is left", key)
			}
		}
		if _, there := f.store.row("W/" + ws[0].job(ws[0].shards()[0]).Session()); !there {
			t.Error("the living one's row is gone")
		}
	})
}

// The audit fails the test if it is removed under a shard that names it.
func TestTheRowOfADeadSessionStaysWhileAShardNamesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ids(4)...)
		defer f.close()
		ws := f.joinAll(2)
		f.watch(20 * time.Second)
		gone := ws[1].job(ws[1].shards()[0]).Session()
		f.rewrite("orders/A", `"paused":false`, `"paused":true`)
		ws[1].wire.fail(errFailed) // with what it has: nobody takes it
		f.watch(4 * time.Minute)
		for _, key := range []string{"W/" + gone, "orders/M/" + gone} {
			if _, there := f.store.row(key); !there {
				t.Errorf("row %s is gone", key)
			}
		}
		ws[1].wire.resume()
	})
}

// A listing may be old: who is in it no longer may be alive.
func TestALivingMemberThatListingsLeaveOutStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ids(4)...)
		defer f.close()
		first := f.join()
		f.watch(5 * time.Second)
		second := f.join()
		f.watch(20 * time.Second)
		session := second.job(second.shards()[0]).Session()
		first.wire.set(func() { first.wire.hide = func(key string) bool { return key == "W/"+session } })
		removed := 0
		first.wire.next(func(op string, row lease.Row) fault {
			if op == "delete" {
				removed++
			}
			return noFault
		})
		o, _ := f.operator()
		if err := f.during("drain", func(ctx context.Context) error { return o.Drain(ctx, session) }); err != nil { // so that no shard names it
			t.Fatal(err)
		}
		f.watch(3 * time.Minute)
		if removed != 0 {
			t.Errorf("%d rows were removed", removed)
		}
	})
}

func TestSessionsOfOtherApplicationsAreLeftToThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		defer f.close()
		f.config = func(c *lease.Config) { c.App = "payments" }
		other := f.join()
		f.until("work on a", func() bool { return other.job("a") != nil })
		session := other.job("a").Session()
		other.wire.fail(errFailed)
		other.stop(nil)
		<-other.done
		f.rewrite("W/"+session, `"state":"A"`, `"state":"D"`)
		f.config = nil
		f.join()
		f.watch(5 * time.Minute)
		if _, there := f.store.row("W/" + session); !there {
			t.Error("the session of another application was removed, and its shard names it")
		}
	})
}

// A stream that is resharded every ten seconds for an hour, with a retention of a minute.
func TestAStreamThatReshardsForHoursKeepsFewRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "0", "1")
		defer f.close()
		f.joinAll(2)
		open := []string{"0", "1"}
		var old []string // in the order of their end
		made, most := 2, 0
		shard := func(parents ...string) lease.Shard {
			made++
			s := lease.Shard{ID: fmt.Sprint(made - 1), Parents: parents}
			open = append(open, s.ID)
			f.stream.add(s)
			return s
		}
		end := func(id string, children ...lease.Shard) {
			f.ends(id, 9, children...)
			open = slices.DeleteFunc(open, func(o string) bool { return o == id })
			old = append(old, id)
		}
		for range 180 {
			p := open[0]
			end(p, shard(p), shard(p))
			for _, id := range open {
				f.begun(id)
			}
			pass(t, 10*time.Second)
			p, q := open[0], open[1]
			child := shard(p, q)
			end(p, child)
			end(q, child)
			f.begun(child.ID)
			pass(t, 10*time.Second)
			for len(old) > 9 { // a minute of them
				f.stream.forget(old[0])
				old = old[1:]
			}
			rows := 0
			for _, err := range f.store.List(t.Context(), "orders/S/one/", "") {
				if err != nil {
					t.Fatal(err)
				}
				rows++
			}
			most = max(most, rows)
		}
		t.Logf("%d shards were made, and there were %d rows at most", made, most)
		if most > 40 {
			t.Errorf("%d rows at a time of %d shards, want 40 at most", most, made)
		}
	})
}
