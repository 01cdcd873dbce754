package sim_test

import (
	"testing"
	"time"

	"github.com/runnelhq/runnel/internal/sim"
)

// What leases promise of a fleet at the default timings: make bench-leases asks the same of ten thousand shards and a hundred workers.
func TestFleet(t *testing.T) {
	t.Parallel()
	const shards, workers, minutes = 1000, 20, 1
	r, err := sim.Fleet(1, shards, workers, minutes*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if r.Owned > r.Settled || r.Settled > time.Minute {
		t.Errorf("every shard was owned after %v, and the load even after %v, want a minute at most", r.Owned, r.Settled)
	}
	if writes := r.Rest.Writes / minutes; writes < 25*workers || writes > 30*workers {
		t.Errorf("%v writes a minute at rest, want 30 a worker at most, which are its heartbeats, and none a shard", writes)
	}
	if len(r.Deaths) != 2 || r.Deaths[0].Workers != 1 || r.Deaths[1].Workers != workers/10 {
		t.Errorf("deaths: %+v, want those of one worker and of a tenth", r.Deaths)
	}
	for _, d := range r.Deaths {
		if d.Owned < 8*time.Second || d.Owned > 16*time.Second { // an expiry of 10 s, less what had passed since the last heartbeat, and three polls
			t.Errorf("%d died: their shards had owners after %v, want 8 to 16 s", d.Workers, d.Owned)
		}
		if d.Orphans < d.Workers*shards/workers || d.Takes != d.Orphans {
			t.Errorf("%d died: %d takes of %d shards, want one each", d.Workers, d.Takes, d.Orphans)
		}
	}
}

// Reads grow with the workers, and not with the shards that each of them hears of: listings of all are the rarer the more there are.
func TestFleetReads(t *testing.T) {
	t.Parallel()
	const workers = 5
	few, err := sim.Fleet(1, 600, workers, 4*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	many, err := sim.Fleet(1, 1200, workers, 4*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	calls := (many.Rest.Reads + many.Rest.Listings) / (few.Rest.Reads + few.Rest.Listings)
	if units := many.Rest.ReadUnits / few.Rest.ReadUnits; calls > 1.05 || units > 1.3 {
		t.Errorf("with twice the shards workers at rest read %.2f times as often, and %.2f times as many units", calls, units)
	}
}
