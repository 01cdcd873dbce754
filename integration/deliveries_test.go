//go:build engines

package integration

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/runnelhq/runnel/consumer"
)

// delivery is one record that was handled once.
type delivery struct {
	Worker   string
	Stream   string // the incarnation
	Shard    string
	Epoch    uint64
	Position string // in the form that sorts as text
	Key      string
	N        int
	Attempt  int
}

func deliveryOf(worker string, s stream, r consumer.Record) (delivery, error) {
	it, err := s.read(r)
	return delivery{
		Worker: worker, Stream: r.Stream, Shard: r.Shard, Epoch: r.Epoch, Position: r.Position.Sort(),
		Key: it.Key, N: it.N, Attempt: r.Attempt,
	}, err
}

func (d delivery) item() item { return item{d.Key, d.N} }

// deliveries are what was handled, in the order in which it was.
type deliveries struct {
	mu   sync.Mutex
	list []delivery
	seen map[item]int // how often
}

func newDeliveries() *deliveries { return &deliveries{seen: make(map[item]int)} }

func (l *deliveries) note(d delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, d)
	l.seen[d.item()]++
}

func (l *deliveries) all() []delivery {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.list)
}

// last is the last delivery of a key.
func (l *deliveries) last(key string) (last delivery) {
	for _, d := range l.all() {
		if d.Key == key {
			last = d
		}
	}
	return last
}

// since are the deliveries after the first n.
func (l *deliveries) since(n int) []delivery { return l.all()[n:] }

// distinct is the number of items that were handled.
func (l *deliveries) distinct() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.seen)
}

// lacks are the items of which none was handled, of so many of each key.
func (l *deliveries) lacks(sent map[string]int) []item {
	l.mu.Lock()
	defer l.mu.Unlock()
	var missing []item
	for _, key := range slices.Sorted(maps.Keys(sent)) {
		for n := range sent[key] {
			if l.seen[item{key, n}] == 0 {
				missing = append(missing, item{key, n})
			}
		}
	}
	return missing
}

// of is the deliveries of one worker.
func of(worker string, all []delivery) []delivery {
	return slices.DeleteFunc(slices.Clone(all), func(d delivery) bool { return d.Worker != worker })
}

// shards are those of deliveries.
func shards(all []delivery) []string {
	var ids []string
	for _, d := range all {
		if !slices.Contains(ids, d.Shard) {
			ids = append(ids, d.Shard)
		}
	}
	slices.Sort(ids)
	return ids
}

// owned are the shards of which a worker handled the last record so far.
func (l *deliveries) owned(worker string) []string {
	all, owners := l.all(), make(map[string]string)
	for _, d := range all {
		owners[d.Shard] = d.Worker
	}
	return slices.DeleteFunc(shards(all), func(shard string) bool { return owners[shard] != worker })
}

// repeats are, by shard, the deliveries of records that were handled before.
func repeats(all []delivery) map[string]int {
	type place struct{ shard, position string }
	seen, again := make(map[place]bool), make(map[string]int)
	for _, d := range all {
		p := place{d.Shard, d.Position}
		if seen[p] {
			again[d.Shard]++
		}
		seen[p] = true
	}
	return again
}

func (l *deliveries) String() string {
	all := l.all()
	var b strings.Builder
	fmt.Fprintf(&b, "%d deliveries of %d items\n", len(all), l.distinct())
	for _, shard := range shards(all) {
		n, last := 0, delivery{}
		for _, d := range all {
			if d.Shard == shard {
				n, last = n+1, d
			}
		}
		fmt.Fprintf(&b, "  shard %s: %d, the last by %s in epoch %d: %s %d\n", shard, n, last.Worker, last.Epoch, last.Key, last.N)
	}
	return b.String()
}

// check holds all deliveries against what every run promises: the order of keys and of shards, and epochs that rise.
func (l *deliveries) check(t *testing.T) {
	t.Helper()
	all := l.all()
	checkKeys(t, all)
	checkShards(t, all)
	checkEpochs(t, all)
}

// checkNoRepeats fails the test if a record was delivered twice.
func (l *deliveries) checkNoRepeats(t *testing.T) {
	t.Helper()
	if again := repeats(l.all()); len(again) > 0 {
		t.Errorf("delivered again: %v", again)
	}
}

// checkKeys: the first deliveries of the values of a key are in order, whatever shards they were in, and without others than the given ones between them.
func checkKeys(t *testing.T, all []delivery, gaps ...item) {
	t.Helper()
	next := make(map[string]int)
	for i, d := range all {
		for slices.Contains(gaps, item{d.Key, next[d.Key]}) {
			next[d.Key]++
		}
		if d.N > next[d.Key] {
			t.Errorf("delivery %d: key %s skips from %d to %d: %+v", i, d.Key, next[d.Key], d.N, d)
		}
		next[d.Key] = max(next[d.Key], d.N+1)
	}
}

// checkShards: in a shard, first deliveries are in order, and so are all deliveries of one epoch.
func checkShards(t *testing.T, all []delivery) {
	t.Helper()
	type owned struct {
		shard string
		epoch uint64
	}
	first := make(map[string]string)
	last := make(map[owned]delivery)
	seen := make(map[[2]string]bool)
	for i, d := range all {
		if id := [2]string{d.Shard, d.Position}; !seen[id] {
			seen[id] = true
			if d.Position <= first[d.Shard] {
				t.Errorf("delivery %d comes first behind position %s of its shard: %+v", i, first[d.Shard], d)
			}
			first[d.Shard] = d.Position
		}
		o := owned{d.Shard, d.Epoch}
		before, ok := last[o]
		if ok && (d.Position < before.Position || d.Position == before.Position && d.Attempt <= before.Attempt) {
			t.Errorf("delivery %d goes back in its epoch: %+v after %+v", i, d, before)
		}
		last[o] = d
	}
}

// checkEpochs: an epoch of a shard is one worker's, and none is followed by a lower one.
func checkEpochs(t *testing.T, all []delivery) {
	t.Helper()
	last := make(map[string]delivery)
	for i, d := range all {
		before := last[d.Shard]
		if d.Epoch < before.Epoch || d.Epoch == before.Epoch && d.Worker != before.Worker {
			t.Errorf("delivery %d is of epoch %d and %s, after epoch %d and %s: %+v", i, d.Epoch, d.Worker, before.Epoch, before.Worker, d)
		}
		last[d.Shard] = d
	}
}
