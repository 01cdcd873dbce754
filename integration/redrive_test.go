//go:build engines

package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/runnelhq/runnel/consumer"
)

// Keys are parked and redriven while records of all keys come in, and the first redrive is interrupted: nothing waits for it, each key comes in its order, and none is parked afterwards.
func TestRedriveUnderLoad(t *testing.T) {
	t.Parallel()
	b, _ := onKinesis(t, 2)
	c, a := newCrew(t, b), newArchive(t, b, "Redis")
	all := keys(12)
	poison := []item{{all[1], 2}, {all[5], 4}, {all[6], 6}, {all[6], 40}} // the last may park its key again
	job := task{Timing: steady, EveryN: 20, Order: consumer.PerKey, Then: consumer.ParkKey, Attempts: attempts, Poison: poison, Letters: a.address}
	crew := c.hireAll(t, 2, job)
	stop := a.putting(t, all, 100*time.Millisecond)
	eventually(t, func() string { return fmt.Sprintf("parked are %q", a.parked(t)) }, func() bool { return len(a.parked(t)) == 3 && len(a.all(t)) > 30 })

	mend := job
	mend.Poison, mend.Redrive, mend.Pace = nil, true, 50*time.Millisecond
	first := c.hire(t, "redrive-1", mend)
	eventually(t, says("nothing was redriven"), func() bool { return len(of("redrive-1", b.log.all())) > 5 })
	first.terminate(t)
	byWorkers := func() int { return len(of("worker-1", b.log.all())) + len(of("worker-2", b.log.all())) }
	before := byWorkers()
	n := 1
	eventually(t, func() string { return fmt.Sprintf("after %d redrives are parked: %q\n%s", n, a.parked(t), b.log) }, func() bool {
		n++
		c.hire(t, fmt.Sprintf("redrive-%d", n), mend).finish(t)
		return len(a.parked(t)) == 0 && b.log.has(poison[3])
	})
	if byWorkers() == before {
		t.Error("no worker handled anything during the redrive")
	}
	stop()
	b.put(t, all, 3)
	b.awaitAll(t)
	terminateAll(t, crew)
	for _, key := range all {
		if last := b.log.last(key); strings.HasPrefix(last.Worker, "redrive") {
			t.Errorf("the key is still parked: %+v", last)
		}
	}
	if left := a.all(t); len(left) > 0 {
		t.Errorf("letters are left: %+v", left)
	}
	checkKeys(t, b.log.all())
	b.log.checkNoRepeats(t)
}
