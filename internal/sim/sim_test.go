package sim_test

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/runnelhq/runnel/internal/sim"
)

var (
	seeds = flag.Int("seeds", 100, "how many worlds are run")
	from  = flag.Uint64("from", 1, "the first seed")
	seed  = flag.Uint64("seed", 0, "the one world to run, with a trace")
)

func TestSeeds(t *testing.T) {
	if *seed != 0 {
		if r := sim.Run(*seed, os.Stdout); r.Failure != nil {
			t.Errorf("seed %d: %v", *seed, r.Failure)
		}
		return
	}
	results := run(t, *seeds, *from)
	hit := make(map[string]int)
	for _, r := range results {
		for what := range r.Counts {
			hit[what]++
		}
	}
	for _, what := range slices.Sorted(keys(hit)) {
		fmt.Printf("%6.1f %%  %s\n", 100*float64(hit[what])/float64(len(results)), what)
	}
}

func keys(m map[string]int) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func run(t *testing.T, n int, from uint64) []sim.Result {
	t.Helper()
	var next atomic.Uint64
	next.Store(from)
	var mu sync.Mutex
	var results []sim.Result
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for !t.Failed() {
				s := next.Add(1) - 1
				if s >= from+uint64(n) {
					return
				}
				r := sim.Run(s, nil)
				mu.Lock()
				results = append(results, r)
				mu.Unlock()
				if r.Failure != nil {
					t.Errorf("seed %d: %v\nreplay: make sim SEED=%d", s, r.Failure, s)
				}
			}
		})
	}
	wg.Wait()
	return results
}
