package main

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/runnelhq/runnel/consumer"
)

// In virtual time only the waits of the handler count: what the orders themselves allow is reached.
func TestLanes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		r := &report{out: &out}
		for _, measure := range []func() error{
			func() error { return wide(t.Context(), r) },
			func() error { return zipf(t.Context(), r) },
			func() error { return bisected(t.Context(), r) },
			func() error { return hotKey(t.Context(), r) },
		} {
			if err := measure(); err != nil {
				t.Fatal(err)
			}
		}
		for name, most := range map[string]map[string]float64{
			wideName("lanes"):     {"of-serial-%": 1.25},
			zipfName():            {boundUnit: 1.05},
			bisectName:            {"failing-calls": 15, "calls": 29},
			hotName("key", "hot"): {aloneUnit: 1.5},
		} {
			for unit, limit := range most {
				if got := figure(t, out.String(), name, unit); got <= 0 || got > limit {
					t.Errorf("%s: %v %s, want up to %v", name, got, unit, limit)
				}
			}
		}
	})
}

// figure is one figure of a report.
func figure(t *testing.T, report, name, unit string) float64 {
	t.Helper()
	for text := range strings.Lines(report) {
		if l, ok := parseLine(strings.TrimSpace(text)); ok && l.name == name {
			return l.values[unit]
		}
	}
	t.Errorf("no %s in\n%s", name, report)
	return 0
}

// A consumer that keeps no order does not pass for one that does.
func TestKeyOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := handleSlowly(t.Context(), consumer.Order{By: consumer.Unordered, Workers: 5}, numbered(3), 100)
		if err == nil || !strings.Contains(err.Error(), "came after") {
			t.Errorf("records of one key were in many calls at once: %v", err)
		}
	})
}
