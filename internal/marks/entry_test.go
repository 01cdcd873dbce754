package marks

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/runnelhq/runnel/dedup"
)

// A record in no order, whose fate in each generation is counted, is applied once in each that begins with it, and redriven where it was buried last.
func TestEntriesAreAppliedOnceAGeneration(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var e Entry
		newest, dead := -1, false // the generation in which it was applied or buried
		for range 12 {
			m := owned(dedup.PerID, 1, 1)
			m.Generation = rapid.Uint64Range(0, 3).Draw(t, "generation")
			now := int(m.Generation)
			switch rapid.SampledFrom([]string{"apply", "bury", "redrive"}).Draw(t, "call") {
			case "redrive":
				fresh, err := e.Redrive(m)
				if pending := now > newest; errors.Is(err, dedup.ErrPending) != pending || !pending && err != nil {
					t.Fatalf("redrive in generation %d of %+v: %v", m.Generation, e, err)
				}
				if want := dead && now == newest; fresh != want {
					t.Fatalf("redrive in generation %d of %+v is fresh: %v, want %v", m.Generation, e, fresh, want)
				}
				if fresh {
					e.Dead, dead = false, false
				}
			case "apply":
				if fresh := e.Fresh(m); fresh != (now > newest) {
					t.Fatalf("apply in generation %d of %+v is fresh: %v", m.Generation, e, fresh)
				} else if fresh {
					e, newest, dead = Entry{There: true, Generation: m.Generation}, now, false
				}
			case "bury":
				if fresh := e.Fresh(m); fresh != (now > newest) {
					t.Fatalf("bury in generation %d of %+v is fresh: %v", m.Generation, e, fresh)
				} else if fresh {
					e, newest, dead = Entry{There: true, Generation: m.Generation, Dead: true}, now, true
				}
			}
		}
	})
}
