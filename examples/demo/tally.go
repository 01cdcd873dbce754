package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// tally holds what the workers handled against what was put.
type tally struct {
	third, whole chan struct{} // closed when so much was handled
	put          *atomic.Int64

	mu      sync.Mutex
	streams map[string]*counts
	workers map[string]int
	owners  map[string]string // shard → who handled it last
	victim  string
	died    time.Time
	orphans map[string]bool // the shards of the victim that nobody has taken up yet
	took    time.Duration   // from the kill to the last of them taken up
}

// counts is one stream.
type counts struct {
	expected  int
	handled   map[vote]int   // how often
	next      map[string]int // voter → the vote whose first delivery is next
	again     int
	unordered int
}

func newTally(o options, put *atomic.Int64) *tally {
	of := func(n int) *counts {
		return &counts{expected: n, handled: make(map[vote]int), next: make(map[string]int)}
	}
	return &tally{
		third: make(chan struct{}), whole: make(chan struct{}), put: put,
		streams: map[string]*counts{"kinesis": of(o.records), "dynamodb": of(o.changes)},
		workers: make(map[string]int), owners: make(map[string]string), orphans: make(map[string]bool),
	}
}

// count takes a line that a worker printed.
func (t *tally) count(line string) error {
	var worker, stream, shard string
	var v vote
	if _, err := fmt.Sscan(line, &worker, &stream, &shard, &v.Voter, &v.N); err != nil {
		return fmt.Errorf("a worker printed %q: %w", line, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.streams[stream]
	before := t.sum()
	c.handled[v]++
	if c.handled[v] > 1 {
		c.again++
	} else {
		if v.N != c.next[v.Voter] {
			c.unordered++
		}
		c.next[v.Voter] = v.N + 1
	}
	t.workers[worker]++
	t.takeUp(worker, shard)
	after, expected := t.sum(), t.expected()
	if before < expected/3 && after >= expected/3 {
		close(t.third)
	}
	if before < expected && after >= expected {
		close(t.whole)
	}
	return nil
}

// takeUp notes who has a shard. What a killed worker wrote may be counted after its death.
func (t *tally) takeUp(worker, shard string) {
	if worker == t.victim {
		return
	}
	t.owners[shard] = worker
	if t.orphans[shard] {
		delete(t.orphans, shard)
		t.took = time.Since(t.died)
	}
}

// sum is the records that were handled at least once.
func (t *tally) sum() int {
	n := 0
	for _, c := range t.streams {
		n += len(c.handled)
	}
	return n
}

func (t *tally) expected() int {
	n := 0
	for _, c := range t.streams {
		n += c.expected
	}
	return n
}

// busiest is the worker that handled the most.
func (t *tally) busiest() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.MaxFunc(slices.Sorted(maps.Keys(t.workers)), func(a, b string) int { return t.workers[a] - t.workers[b] })
}

func (t *tally) killed(worker string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.victim, t.died = worker, time.Now()
	for shard, owner := range t.owners {
		if owner == worker {
			t.orphans[shard] = true
		}
	}
}

// line is the progress.
func (t *tally) line(begun time.Time) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "%3.0f s  put %5d  handled %5d of %d", time.Since(begun).Seconds(), t.put.Load(), t.sum(), t.expected())
	for _, w := range slices.Sorted(maps.Keys(t.workers)) {
		fmt.Fprintf(&b, "  %s %6d", w, t.workers[w])
		if w == t.victim {
			b.WriteString(" (killed)")
		}
	}
	return b.String()
}

func (t *tally) missing() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	for name, c := range t.streams {
		fmt.Fprintf(&b, "%s: %d of %d are missing\n", name, c.expected-len(c.handled), c.expected)
	}
	return b.String()
}

// report prints the result, and is an error if it is not what was promised.
func (t *tally) report(w io.Writer) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	good := true
	for _, name := range slices.Sorted(maps.Keys(t.streams)) {
		c := t.streams[name]
		lost := c.expected - len(c.handled)
		fmt.Fprintf(w, "%-8s  handled %d of %d records, %d lost, %d out of order, %d delivered again\n",
			name, len(c.handled), c.expected, lost, c.unordered, c.again)
		good = good && lost == 0 && c.unordered == 0
	}
	if t.victim != "" {
		fmt.Fprintf(w, "the shards of %s were taken over in %.1f s; positions are stored every %d records, so a shard repeats less than twice as many\n",
			t.victim, t.took.Seconds(), every)
	}
	if !good {
		return fmt.Errorf("records are missing or out of order")
	}
	return nil
}
