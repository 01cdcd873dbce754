package main

import (
	"cmp"
	"fmt"
	"time"

	"github.com/runnelhq/runnel/internal/sim"
)

// largest is a fleet that no machine runs by itself: it is simulated.
var largest = fleetSize{10_000, 100}

const simulatedStore = "simulated"

// fleetSimulated measures a fleet in virtual time. In the largest every shard is listed once in some eight minutes, so it is looked at for longer.
func fleetSimulated(o options, r *report, size fleetSize) error {
	got, err := sim.Fleet(1, size.shards, size.workers, time.Duration(cmp.Or(o.Seconds, 600))*time.Second)
	if err != nil {
		return err
	}
	metrics := []metric{{float64(got.Owned), "cold-owned-ns"}, {float64(got.Settled), "cold-settled-ns"}}
	metrics = append(metrics, atRestMetrics(got.Rest, got.RestFor, size)...)
	for _, d := range got.Deaths {
		metrics = append(metrics, deathMetrics(d.Workers, d.Owned, float64(d.Takes)/float64(d.Orphans))...)
	}
	r.result(fleetName(simulatedStore, size), metrics...)
	return nil
}

func fleetName(store string, size fleetSize) string {
	return fmt.Sprintf("Fleet/store=%s/shards=%d/workers=%d", store, size.shards, size.workers)
}
