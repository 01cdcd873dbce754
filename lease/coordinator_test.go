package lease_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
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

func TestShardsOfAKilledWorkerAreTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ids(12)...)
		defer f.close()
		ws := f.joinAll(3)
		f.watch(20 * time.Second)
		for _, id := range ws[0].shards() {
			if err := ws[0].job(id).checkpoint(7); err != nil {
				t.Fatal(err)
			}
		}
		lost := ws[0].shards()
		ws[0].wire.fail(errFailed)
		f.watch(14 * time.Second)
		if got := counts(ws[1:]); !slices.Equal(got, []int{6, 6}) {
			t.Fatalf("shards of each survivor 14 s after the death: %v, want 6 each", got)
		}
		for _, w := range ws[1:] {
			for _, id := range lost {
				if j := w.job(id); j != nil && j.Position().String() != "7" {
					t.Errorf("shard %s was taken at position %q, want 7", id, j.Position())
				}
			}
		}
		ws[0].wire.resume()
		f.watch(20 * time.Second)
		if got := counts(ws); !slices.Equal(got, []int{4, 4, 4}) {
			t.Errorf("shards of each worker after it came back: %v, want 4 each", got)
		}
	})
}

func TestCleanStopHandsOverAtTheNextPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ids(12)...)
		defer f.close()
		ws := f.joinAll(3)
		f.watch(20 * time.Second)
		ws[0].stop(nil)
		<-ws[0].done
		f.watch(2500 * time.Millisecond)
		if got := counts(ws[1:]); !slices.Equal(got, []int{6, 6}) {
			t.Errorf("shards of each survivor: %v, want 6 each", got)
		}
	})
}
