//go:build engines

package integration

import (
	"testing"
	"time"
)

// Once all is read, nothing is logged above debug, and neither goroutines nor connections grow. The worker is a process of its own, in which nothing
// else runs.
func TestHazard33_QuietInTheSteadyState(t *testing.T) {
	onBoth(t, 4, func(t *testing.T, b *bench) {
		const seconds = 10
		c := newCrew(t, b)
		w := c.hire(t, "worker", task{Timing: steady, State: time.Second})
		b.put(t, keys(12), 5)
		b.awaitAll(t)
		pause(t, 2*time.Second) // the pace of idle shards settles
		states, logs := c.of("worker")
		before, said := len(states), len(logs)
		eventually(t, says("the worker does not tell of itself"), func() bool {
			states, logs = c.of("worker")
			return len(states) >= before+seconds
		})
		for _, l := range logs[said:] {
			t.Errorf("logged in the steady state: %s %s", l.Level, l.Message)
		}
		half := before + seconds/2
		// The fewest, and not the most: a request that happens to overlap another has a connection and its goroutines for a while.
		if early, late := fewest(states[before:half]), fewest(states[half:]); late > early {
			t.Errorf("%d goroutines became %d", early, late)
		}
		if made := states[len(states)-1].Connections - states[before].Connections; made > seconds/2 {
			t.Errorf("%d connections were made in %d s of the steady state", made, len(states)-before)
		}
		w.terminate(t)
		b.log.check(t)
		b.log.checkNoRepeats(t)
	})
}

// fewest is the least number of goroutines.
func fewest(states []processState) int {
	least := states[0].Goroutines
	for _, s := range states {
		least = min(least, s.Goroutines)
	}
	return least
}
