//go:build engines

package integration

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// Three processes share a stream and one is killed in the middle: nothing is missing, and what is repeated are records of its
// shards, of which the strategy allows so many.
func TestHazard05_KilledWorkerLosesNothing(t *testing.T) {
	t.Parallel()
	for name, job := range map[string]task{
		"EveryRecord": {Timing: hasty, Pace: 5 * time.Millisecond},
		"EveryN":      {Timing: hasty, Pace: 5 * time.Millisecond, EveryN: 10},
	} {
		allowed := 1 // a shard: what is in the handler's hands
		if job.EveryN > 0 {
			allowed = 2*job.EveryN - 1 + 1
		}
		t.Run(name, func(t *testing.T) {
			onBoth(t, 4, func(t *testing.T, b *bench) {
				c := newCrew(t, b)
				all := c.hireAll(t, 3, job)
				stop := b.putting(t, keys(12), 100*time.Millisecond)
				b.awaitSome(t, 120)
				victim := busiest(b, all)
				victim.kill(t)
				orphans := b.log.owned(victim.name)
				if len(orphans) == 0 {
					t.Fatal("the killed worker had no shard")
				}
				eventually(t, func() string {
					return fmt.Sprintf("nobody took the shards %v of the killed worker", b.log.owned(victim.name))
				}, func() bool { return len(b.log.owned(victim.name)) == 0 })
				stop()
				b.awaitAll(t)
				terminateAll(t, slices.DeleteFunc(all, func(w *worker) bool { return w == victim }))
				b.log.check(t)
				for shard, n := range repeats(b.log.all()) {
					if n > allowed || !slices.Contains(orphans, shard) {
						t.Errorf("shard %s: %d records were repeated, want at most %d of the shards %v", shard, n, allowed, orphans)
					}
				}
			})
		})
	}
}

// busiest is the worker that handled the most.
func busiest(b *bench, all []*worker) *worker {
	return slices.MaxFunc(all, func(x, y *worker) int {
		return len(of(x.name, b.log.all())) - len(of(y.name, b.log.all()))
	})
}
