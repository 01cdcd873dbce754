//go:build engines

package integration

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/runnelhq/runnel/consumer"
)

// A key is parked, and three workers that have its shard are killed one after the other while its records come in: it stays parked in every successor, and its letters are complete
// and in order. When they are redriven its next record goes to the handler, and nothing is missing.
func TestParkedKeyAcrossThreeKills(t *testing.T) {
	t.Parallel()
	b, _ := onKinesis(t, 2)
	c, a := newCrew(t, b), newArchive(t, b, "PostgreSQL")
	all := keys(10)
	ill := item{all[3], 5}
	job := task{Timing: hasty, EveryN: 20, Order: consumer.PerKey, Then: consumer.ParkKey, Attempts: attempts, Poison: []item{ill}, Letters: a.address, Hesitate: 100 * time.Millisecond}
	unwatch := a.watch(t, c)
	crew := c.hireAll(t, 2, job)
	stop := a.putting(t, all, 200*time.Millisecond)
	for round := range 3 {
		before := len(a.items(t, ill.Key))
		eventually(t, func() string {
			return fmt.Sprintf("%d letters of the parked key after %d kills\n%s", len(a.items(t, ill.Key)), round, b.log)
		},
			func() bool { return len(a.items(t, ill.Key)) > before+3 })
		victim := c.owner(t, crew, c.refused()[0].Shard)
		victim.kill(t)
		crew = append(slices.DeleteFunc(crew, func(w *worker) bool { return w == victim }), c.hire(t, fmt.Sprintf("successor-%d", round+1), job))
		if got := a.parked(t); !slices.Equal(got, []string{ill.Key}) {
			t.Errorf("parked after kill %d are %q, want %q", round+1, got, ill.Key)
		}
	}
	stop()
	a.awaitSettled(t)
	unwatch()
	if got, want := a.items(t, ill.Key), b.from(ill); !slices.Equal(got, want) {
		t.Errorf("the letters are %v, want %v", got, want)
	}
	for _, d := range b.log.all() {
		if follows(d.item(), []item{ill}) {
			t.Errorf("handled although its key is parked: %+v", d)
		}
	}

	job.Poison, job.Redrive = nil, true
	c.hire(t, "redrive", job).finish(t)
	b.awaitAll(t)
	if letters, parked := a.all(t), a.parked(t); len(letters)+len(parked) > 0 {
		t.Errorf("after the redrive %d letters are there, and parked are %q", len(letters), parked)
	}
	b.put(t, all, 3)
	b.awaitAll(t)
	terminateAll(t, crew)
	if last := b.log.last(ill.Key); last.Worker == "redrive" || len(a.all(t)) > 0 {
		t.Errorf("the key is still parked after the redrive: %+v, and %d letters", last, len(a.all(t)))
	}
	checkKeys(t, b.log.all())
}
