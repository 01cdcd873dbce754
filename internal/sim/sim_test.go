package sim_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/runnelhq/runnel/internal/sim"
)

var (
	seeds = flag.Int("seeds", few, "how many worlds are run")
	from  = flag.Uint64("from", 1, "the first seed")
	seed  = flag.Uint64("seed", 0, "the one world to run, with a trace")
)

// enough is how many seeds show how often each fault and each rare branch comes up.
var enough = 2000

func TestMain(m *testing.M) {
	flag.Parse()
	debug.SetGCPercent(400) // worlds are small and short-lived
	m.Run()
}

func TestSeeds(t *testing.T) {
	if *seed != 0 {
		if r := sim.Run(*seed, os.Stdout); r.Failure != nil {
			t.Errorf("seed %d: %v", *seed, r.Failure)
		}
		return
	}
	results := make(map[uint64]sim.Result)
	for r := range run(*from, *seeds, false) {
		results[r.Seed] = r
		if r.Failure != nil {
			t.Errorf("seed %d: %v\nreplay: make sim SEED=%d", r.Seed, r.Failure, r.Seed)
		}
	}
	steps := 0
	for _, r := range results {
		steps += r.Steps
	}
	table, lacking := sim.Coverage(results)
	fmt.Printf("%d worlds, %d steps; in how many of them each thing came up:\n%s", len(results), steps, table)
	if *seeds >= enough {
		for _, what := range lacking {
			t.Errorf("%s came up in less than 1 %% of seeds", what)
		}
	}
}

// TestSameSeed asserts that a seed repeats a run byte for byte.
func TestSameSeed(t *testing.T) {
	for seed := range uint64(4) {
		var first, second bytes.Buffer
		sim.Run(seed+1, &first)
		sim.Run(seed+1, &second)
		if !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Errorf("seed %d: two runs differ: %s", seed+1, differ(first.Bytes(), second.Bytes()))
		}
		if silent := sim.Run(seed+1, nil); silent.Steps != sim.Run(seed+1, io.Discard).Steps {
			t.Errorf("seed %d: a trace changes the run", seed+1)
		}
	}
}

// differ gives the first lines that differ.
func differ(a, b []byte) string {
	x, y := bytes.Split(a, []byte("\n")), bytes.Split(b, []byte("\n"))
	for i := range min(len(x), len(y)) {
		if !bytes.Equal(x[i], y[i]) {
			return fmt.Sprintf("line %d is\n%s\nand\n%s", i+1, x[i], y[i])
		}
	}
	return "one is longer"
}

// run runs worlds on all processors and yields their results until one has failed, or the caller has enough.
func run(from uint64, n int, untilFailure bool) func(func(sim.Result) bool) {
	return func(yield func(sim.Result) bool) {
		var next atomic.Uint64
		var over atomic.Bool
		results := make(chan sim.Result)
		var wg sync.WaitGroup
		for range runtime.GOMAXPROCS(0) {
			wg.Go(func() {
				for !over.Load() {
					s := from + next.Add(1) - 1
					if s >= from+uint64(n) {
						return
					}
					r := sim.Run(s, nil)
					if untilFailure && r.Failure != nil {
						over.Store(true)
					}
					results <- r
				}
			})
		}
		go func() {
			wg.Wait()
			close(results)
		}()
		wanted := true
		for r := range results {
			if wanted && !yield(r) {
				wanted = false
				over.Store(true)
			}
		}
	}
}
