//go:build engines

package integration

import (
	"slices"
	"testing"
	"time"
)

// Once all is read, nothing is logged above debug, and neither goroutines nor connections grow. The worker is a process of its own, in which nothing
// else runs.
func TestHazard33_QuietInTheSteadyState(t *testing.T) {
	onBoth(t, 4, func(t *testing.T, b *bench) {
		const (
			every   = 200 * time.Millisecond
			seconds = 10
			samples = int(seconds * time.Second / every)
		)
		c := newCrew(t, b)
		w := c.hire(t, "worker", task{Timing: steady, State: every})
		b.put(t, keys(12), 5)
		b.awaitAll(t)
		pause(t, 2*time.Second) // the pace of idle shards settles
		states, logs := c.of("worker")
		before, said := len(states), len(logs)
		eventually(t, says("the worker does not tell of itself"), func() bool {
			states, logs = c.of("worker")
			return len(states) >= before+samples
		})
		for _, l := range logs[said:] {
			t.Errorf("logged in the steady state: %s %s", l.Level, l.Message)
		}
		half := before + samples/2
		if early, late := usual(states[before:half]), usual(states[half:]); late > early {
			t.Errorf("%d goroutines became %d: %v", early, late, states[before:])
		}
		if made := states[len(states)-1].Connections - states[before].Connections; made > seconds/2 {
			t.Errorf("%d connections were made in %d s of the steady state", made, seconds)
		}
		w.terminate(t)
		b.log.check(t)
		b.log.checkNoRepeats(t)
	})
}

// usual is what nine of ten samples do not pass: a loop that is between two requests may have one less, and one that begins anew has one more.
func usual(states []processState) int {
	var all []int
	for _, s := range states {
		all = append(all, s.Goroutines)
	}
	slices.Sort(all)
	return all[len(all)*9/10]
}
