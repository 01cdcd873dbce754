package sim_test

import (
	"testing"
	"time"

	"github.com/runnelhq/runnel/internal/sim"
)

func TestFleet(t *testing.T) {
	const shards, workers = 1000, 20
	r, err := sim.Fleet(1, shards, workers, 2*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", r)
}
