package main

import (
	"slices"
	"sync"
	"time"
)

// ages are how long records took, and when pages of each shard were read.
type ages struct {
	mu    sync.Mutex
	on    bool // before, nothing is noted
	took  []time.Duration
	reads map[string][]time.Time
}

func (a *ages) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.on, a.took, a.reads = true, nil, make(map[string][]time.Time)
}

func (a *ages) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.on = false
}

func (a *ages) add(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.on {
		a.took = append(a.took, d)
	}
}

func (a *ages) read(shard string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.on {
		a.reads[shard] = append(a.reads[shard], time.Now())
	}
}

// busiest is the most reads of one shard, in all and in any second.
func (a *ages) busiest() (all, second int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, at := range a.reads {
		all = max(all, len(at))
		from := 0
		for to := range at {
			for at[to].Sub(at[from]) >= time.Second {
				from++
			}
			second = max(second, to-from+1)
		}
	}
	return all, second
}

// metrics are the number of samples and their quantiles.
func (a *ages) metrics() []metric {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]metric{{float64(len(a.took)), "records"}}, quantiles(a.took)...)
}

func quantiles(took []time.Duration) []metric {
	if len(took) == 0 {
		return nil
	}
	sorted := slices.Sorted(slices.Values(took))
	at := func(q float64) float64 { return float64(sorted[int(q*float64(len(sorted)-1)+0.5)]) }
	return []metric{{at(.5), "p50-ns"}, {at(.95), "p95-ns"}, {at(.99), "p99-ns"}, {at(1), "max-ns"}}
}
