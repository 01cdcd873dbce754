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
		const every = time.Second
		half := int(2 * steady.Request / every) // in samples: what still runs after so long is no request, nor a round of polling or listing
		c := newCrew(t, b)
		w := c.hire(t, "worker", task{Timing: steady, State: every})
		b.put(t, keys(24), 5)
		b.awaitAll(t)
		if read := len(shards(b.log.all())); read != shardCount(b, 4) { // or others may be assigned in the steady state
			t.Fatalf("records of %d shards were handled, want %d", read, shardCount(b, 4))
		}
		states, logs := c.of("worker")
		said, first := len(logs), len(states)+1 // the next one may have been taken before the last record was handled
		eventually(t, says("the worker does not tell of itself"), func() bool {
			states, logs = c.of("worker")
			return len(states) > first+2*half
		})
		before, between, at := states[first], states[first+half], states[first+2*half]
		for _, l := range logs[said:] {
			t.Errorf("logged in the steady state: %s %s", l.Level, l.Message)
		}
		for by, n := range between.Goroutines.begun(before.Goroutines, at.Goroutines) {
			t.Errorf("%d goroutines that %s began in the steady state still run %v later", n, by, time.Duration(half)*every)
		}
		if made := at.Connections - before.Connections; made > int64(half) {
			t.Errorf("%d connections were made in %v of the steady state", made, time.Duration(2*half)*every)
		}
		w.terminate(t)
		b.log.check(t)
		b.log.checkNoRepeats(t)
	})
}
