//go:build !race

package lease

import (
	"os"
	"testing"
	"time"
)

// The protocol's pure steps under every interleaving of two processes with crashes, stalls, and writes that are lost, late or whose answer is lost: searched until
// no state is left that was not seen. One unit of time is a quarter of the expiry, so that a session is valid for three.
//
// The race detector makes it ten times slower and has nothing to find where there is one goroutine: these tests are left out under it, and make test-unit
// runs them by themselves.
var (
	sessions = bounds{workers: 2, own: 3, expiry: 4}
	drifting = bounds{workers: 2, own: 3, expiry: 4, drift: 3}
	removing = bounds{workers: 2, own: 3, expiry: 4, late: 1, remove: true}
	leaving  = bounds{workers: 2, own: 3, expiry: 4, late: 1, leave: true}
	aShard   = bounds{workers: 2, own: 3, expiry: 4, late: 1, records: [2]uint8{1}}
	aFamily  = bounds{workers: 2, own: 3, expiry: 4, child: true, records: [2]uint8{1, 0}}
	families = bounds{workers: 2, own: 3, expiry: 4, child: true, late: 1, records: [2]uint8{1, 0}}
	timeless = bounds{workers: 2, timeless: true, child: true, late: 1, records: [2]uint8{2, 1}}
)

const (
	twoOwners = "two valid owners of one shard"
	stuck     = "not everything is worked on, although nothing fails any more"
)

type search struct {
	name string
	bounds
	floor int // with fewer states it no longer reaches what it did; 0: not known
}

var searches = []search{
	{"a shard, its child and late writes", families, 4_170_000}, // the longest first
	{"nobody looks at a clock", timeless, 400_000},
	{"processes leave", leaving, 620_000},
	{"rows of dead sessions are removed", removing, 1_320_000},
	{"clocks that drift", drifting, 370_000},
}

// longSearches are for a night and tens of gigabytes; how large they are is not known.
var longSearches = []search{
	{"a shard and two late writes", bounds{workers: 2, own: 3, expiry: 4, late: 2, records: [2]uint8{1}}, 0},
	{"a shard, its child and late writes", bounds{workers: 2, own: 3, expiry: 4, child: true, late: 1, records: [2]uint8{1, 1}}, 0},
	{"everything", bounds{workers: 2, own: 3, expiry: 4, drift: 3, child: true, late: 1, leave: true, remove: true, records: [2]uint8{1, 0}}, 0},
	{"nobody looks at a clock, and two late writes", bounds{workers: 2, timeless: true, child: true, late: 2, leave: true, remove: true, records: [2]uint8{2, 2}}, 0},
	{"nobody looks at a clock, three processes", bounds{workers: 3, timeless: true, child: true, late: 1, records: [2]uint8{1, 1}}, 0},
	{"three processes", bounds{workers: 3, own: 3, expiry: 4}, 0},
	{"three processes and late writes", bounds{workers: 3, own: 3, expiry: 4, late: 1, records: [2]uint8{1}}, 0},
}

func TestSearchEveryInterleaving(t *testing.T) {
	reached := make(chan *explorer, len(searches))
	t.Run("every", func(t *testing.T) {
		for _, s := range searches {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				reached <- s.exhaust(t)
			})
		}
	})
	close(reached)
	if len(reached) < len(searches) {
		return // one that failed, or that was not asked for
	}
	special := make(map[string]int)
	var count [ops][outcomes]int
	for e := range reached {
		for what, n := range e.special {
			special[what] += n
		}
		for op := range count {
			for got, n := range e.count[op] {
				count[op][got] += n
			}
		}
	}
	for _, what := range []string{
		"takeovers", "adoptions", "takes of the child", "ends", "checkpoints of a former owner refused", "sessions that learned that they are over",
	} {
		t.Logf("%9d %s", special[what], what)
		if special[what] < 1000 {
			t.Errorf("%d %s: the search hardly reaches what it is to test", special[what], what)
		}
	}
	for op, counts := range count {
		for got, n := range counts {
			if n > 0 {
				t.Logf("%9d %s%s", n, opNames[op], outcomeNames[got])
			}
		}
		if counts == [outcomes]int{} && op != int(opList) {
			t.Errorf("never: %s", opNames[op])
		}
	}
}

// TestSearchLong is for a night: RUNNEL_SEARCH=long go test -run '^TestSearchLong$' -timeout 24h -v ./lease.
func TestSearchLong(t *testing.T) {
	if os.Getenv("RUNNEL_SEARCH") != "long" {
		return
	}
	for _, s := range longSearches {
		t.Run(s.name, func(t *testing.T) { s.exhaust(t) })
	}
}

func (s search) exhaust(t *testing.T) *explorer {
	t.Helper()
	e := newExplorer(s.bounds, theRules())
	began := time.Now()
	e.run()
	t.Logf("%d states, %d transitions, %d questions to the pure code, %.1f s", len(e.keys), e.transitions, e.rules.calls, time.Since(began).Seconds())
	if v := e.violation; v != nil {
		t.Fatalf("%s:\n%s", v.why, e.trace(append(e.path(v.from), v.to)))
	}
	if n, is := e.stuck(); is && !s.timeless { // without clocks anybody may be killed for ever
		t.Fatalf("%s:\n%s", stuck, e.trace(append(e.path(n), e.fairWalk(n)...)))
	}
	if len(e.keys) < s.floor {
		t.Errorf("%d states, fewer than %d: the search reaches less than it did", len(e.keys), s.floor)
	}
	return e
}
