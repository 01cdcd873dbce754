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
		if early, late := most(states[before:half]), most(states[half:]); late.Goroutines > early.Goroutines {
			t.Errorf("%d goroutines became %d", early.Goroutines, late.Goroutines)
		}
		if made := states[len(states)-1].Connections - states[half].Connections; made > 0 {
			t.Errorf("%d connections were made in the steady state, after %d", made, states[half].Connections)
		}
		w.terminate(t)
		b.log.check(t)
		b.log.checkNoRepeats(t)
	})
}

// most is the highest of each figure.
func most(states []processState) processState {
	var m processState
	for _, s := range states {
		m.Goroutines, m.Connections = max(m.Goroutines, s.Goroutines), max(m.Connections, s.Connections)
	}
	return m
}
