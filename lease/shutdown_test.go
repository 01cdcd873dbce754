package lease_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/lease"
)

// newLoaded is a worker with a hundred shards over a store that takes its time for each call.
func newLoaded(t *testing.T) (*fleet, *crew) {
	t.Helper()
	f := newFleet(t, ids(100)...)
	w := f.join()
	f.until("work on all", func() bool { return len(w.shards()) == 100 })
	f.watch(5 * time.Second)
	w.wire.set(func() { w.wire.calls, w.wire.latency = nil, 10*time.Millisecond })
	return f, w
}

// left is how many shards name an owner.
func (f *fleet) left() (n int) {
	for _, id := range ids(100) {
		if f.store.lease(id).Owner != "" {
			n++
		}
	}
	return n
}

func TestACleanStopReleasesManyShardsInFewCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, w := newLoaded(t)
		defer f.close()
		began := time.Now()
		w.stop(nil)
		<-w.done
		if n := f.left(); n != 0 {
			t.Errorf("%d shards were not released", n)
		}
		if len(w.wire.calls) > 6 {
			t.Errorf("100 shards were released in %d calls of %v, want 5", len(w.wire.calls), w.wire.calls)
		}
		for _, n := range w.wire.calls {
			if n > 25 {
				t.Errorf("a call had %d rows, want 25 at most", n)
			}
		}
		if took := time.Since(began); took > 500*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
}

func TestOneRowThatTheStoreDoesNotWriteDelaysTheOthersOnce(t *testing.T) {
	for name, c := range map[string]struct {
		with  fault
		delay time.Duration
	}{
		"refused": {failed, 500 * time.Millisecond}, "throttled": {throttled, 500 * time.Millisecond},
		"stuck": {stuck, 2500 * time.Millisecond}, "answer lost": {lostAnswer, 500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, w := newLoaded(t)
				w.grace = 6 * time.Second
				w.wire.next(func(_ string, row lease.Row) fault {
					if isShard(row, "shard-07") {
						return c.with
					}
					return noFault
				})
				w.stop(nil)
				f.watch(c.delay)
				if n := f.left(); n > 1 {
					t.Errorf("%d shards are not released after %v, want one at most", n, c.delay)
				}
				<-w.done
				if c.with == lostAnswer && f.left() != 0 {
					t.Error("the row whose answer was lost is still owned")
				}
				f.close()
			})
		})
	}
}
