package ordering

import (
	"math/bits"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// bisect handles all records of lanes, up to n a call, by a handler that fails if the call holds a poison. What failed comes back to be halved; a poison that is alone is
// given up. It counts the calls, and those that failed.
func bisect(l *Lanes, n int, poison func(uint64) bool, handled func(batch []uint64, failed bool)) (calls, failed int) {
	var batch []uint64
	for l.Unfinished() > 0 {
		batch = l.Take(batch[:0], n, nil)
		calls++
		fails := slices.ContainsFunc(batch, poison)
		handled(batch, fails)
		if fails {
			failed++
		}
		for _, o := range batch {
			if fails && len(batch) > 1 {
				l.Back(o, 0, (len(batch)+1)/2)
			} else {
				l.Done(o)
			}
		}
	}
	return calls, failed
}

func TestOnePoisonAmongTenThousandIsAloneAfter15FailingCallsOf29(t *testing.T) {
	worst, worstFailed := 0, 0
	for poison := range uint64(10_000) {
		if poison%97 > 0 && poison > 10 && poison < 9_990 {
			continue
		}
		var l Lanes
		for range 10_000 {
			l.Add("")
		}
		calls, failed := bisect(&l, 10_000, func(o uint64) bool { return o == poison }, func([]uint64, bool) {})
		worst, worstFailed = max(worst, calls), max(worstFailed, failed)
	}
	if worstFailed > 15 || worst > 29 {
		t.Errorf("%d calls failed, of %d; want at most 15 of 29", worstFailed, worst)
	}
}

func TestEachPoisonEndsAloneAndAllElseIsDoneInTheOrderOfItsKey(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l Lanes
		keys := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"}), 1, 60).Draw(t, "keys")
		poisons := rapid.SliceOfNDistinct(rapid.Uint64Range(0, uint64(len(keys)-1)), 1, min(6, len(keys)), rapid.ID).Draw(t, "poisons")
		n := rapid.IntRange(1, len(keys)).Draw(t, "n")
		for _, key := range keys {
			l.Add(key)
		}
		last := make(map[string]int)
		alone, ended := 0, 0
		poison := func(o uint64) bool { return slices.Contains(poisons, o) }
		_, failed := bisect(&l, n, poison, func(batch []uint64, failed bool) {
			if failed && len(batch) > 1 {
				return
			}
			if failed {
				alone++
			}
			for _, o := range batch {
				ended++
				if before := last[keys[o]]; before > int(o) {
					t.Fatalf("record %d of key %s ended after %d", o, keys[o], before)
				}
				last[keys[o]] = int(o)
			}
		})
		if alone != len(poisons) || ended != len(keys) {
			t.Fatalf("%d of %d poisons ended alone, and %d of %d records in all", alone, len(poisons), ended, len(keys))
		}
		if most := len(poisons) * (1 + bits.Len(uint(n-1))); failed > most {
			t.Fatalf("%d calls of up to %d failed on %d poisons, want at most %d", failed, n, len(poisons), most)
		}
	})
}
