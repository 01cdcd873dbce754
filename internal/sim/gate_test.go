//go:build planted

package sim_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/runnelhq/runnel/internal/planted"
	"github.com/runnelhq/runnel/internal/sim"
)

var (
	update = flag.Bool("update", false, "write the table of faults")
	only   = flag.String("fault", "", "the one fault to plant, by a part of its words")
)

// patience is within how many seeds a planted fault must be caught.
const patience = 1000

const tableFile = "../../docs/faults.md"

const intro = `# Faults that are planted, and what catches them

Each clause of the lease protocol, of order, of what becomes of records that fail and of effects that stand once is broken on purpose, one at a time, and the simulator (` + "`internal/sim`" + `) is run until it notices: this shows that its checks
can fail, and that its faults are hard enough. ` + "`make faults`" + ` does so and compares with this table; ` + "`make faults UPDATE=1`" + ` writes it.

| planted | caught by | seeds |
|---|---|---|
`

// TestGate plants each fault and asserts that it is caught.
func TestGate(t *testing.T) {
	var table strings.Builder
	table.WriteString(intro)
	for _, f := range planted.All {
		if !strings.Contains(string(f), *only) {
			continue
		}
		r := caught(f)
		if r == nil {
			t.Errorf("not caught within %d seeds: %s", patience, f)
			continue
		}
		planted.Plant("")
		if sound := sim.Run(r.Seed, nil); sound.Failure != nil {
			t.Errorf("seed %d fails without a fault: %v", r.Seed, sound.Failure)
		}
		t.Logf("%s: %v (seed %d)", f, r.Failure, r.Seed)
		fmt.Fprintf(&table, "| %s | %s | %d |\n", f, r.Failure.Check, r.Seed)
	}
	planted.Plant("")
	if t.Failed() || *only != "" {
		return
	}
	if *update {
		if err := os.WriteFile(tableFile, []byte(table.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if was, err := os.ReadFile(tableFile); err != nil || string(was) != table.String() {
		t.Errorf("%s differs from what was found (%v): go through it, then run make faults UPDATE=1", tableFile, err)
	}
}

// caught is the first seed that notices a fault, nil if none does.
func caught(f planted.Fault) (first *sim.Result) {
	planted.Plant(f)
	for r := range run(1, patience, true) {
		if r.Failure != nil && (first == nil || r.Seed < first.Seed) {
			first = &r
		}
	}
	return first
}
