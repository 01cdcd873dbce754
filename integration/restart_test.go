//go:build engines

package integration

import (
	"testing"
	"time"
)

// Processes are told to stop while records come in, and others go on: nothing is delivered again.
func TestCleanRestartRepeatsNothing(t *testing.T) {
	t.Parallel()
	for name, job := range map[string]task{
		"EveryRecord": {Timing: steady, Pace: 1 * time.Millisecond},
		"EveryN":      {Timing: steady, Pace: 1 * time.Millisecond, EveryN: 500},
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, 3, func(t *testing.T, b *bench) {
				c := newCrew(t, b)
				stop := b.putting(t, keys(12), 100*time.Millisecond)
				for round := range 3 {
					all := []*worker{c.hire(t, "a", job), c.hire(t, "b", job)}
					b.awaitSome(t, b.log.distinct()+60)
					if round == 2 {
						stop()
						b.awaitAll(t)
					}
					terminateAll(t, all)
				}
				b.log.check(t)
				b.log.checkNoRepeats(t)
			})
		})
	}
}

// A worker that joins takes its part, and one that leaves gives it up, under load and without a repeat.
func TestJoiningAndLeavingRepeatsNothing(t *testing.T) {
	onBoth(t, 4, func(t *testing.T, b *bench) {
		c := newCrew(t, b)
		job := task{Timing: steady, Pace: 1 * time.Millisecond, EveryN: 50}
		stop := b.putting(t, keys(12), 100*time.Millisecond)
		first := c.hire(t, "first", job)
		b.awaitSome(t, 60)
		second := c.hire(t, "second", job)
		if b.service() == kinesisService {
			eventually(t, says("the second worker got no shard"), func() bool { return len(b.log.owned("second")) > 0 })
		}
		first.terminate(t)
		eventually(t, says("the second worker did not go on where the first one stopped"), func() bool {
			return len(b.log.owned("first")) == 0
		})
		stop()
		b.awaitAll(t)
		second.terminate(t)
		b.log.check(t)
		b.log.checkNoRepeats(t)
	})
}
