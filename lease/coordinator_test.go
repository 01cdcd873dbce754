package lease_test

import (
	"fmt"
	"slices"
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
