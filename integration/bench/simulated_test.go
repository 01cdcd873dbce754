package main

import (
	"bytes"
	"strings"
	"testing"
)

// A line of a simulated fleet has every figure that goals ask of the largest.
func TestFleetSimulated(t *testing.T) {
	var out bytes.Buffer
	if err := fleetSimulated(options{Seconds: 10}, &report{out: &out}, fleetSize{100, 20}); err != nil {
		t.Fatal(err)
	}
	l, ok := parseLine(strings.TrimSpace(out.String()))
	if !ok || l.name != "Fleet/store=simulated/shards=100/workers=20" {
		t.Fatalf("%s: not a result", out.String())
	}
	for _, g := range goals {
		if g.name == fleetName(simulatedStore, largest) {
			unit := strings.Replace(g.unit, "crash-of-10-", "crash-of-2-", 1) // a tenth of the workers
			if v, is := l.values[unit]; !is || v <= 0 {
				t.Errorf("%s is %v in %s", unit, v, out.String())
			}
		}
	}
}
