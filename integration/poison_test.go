//go:build engines

package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/deadletter"
)

// attempts is how often a poisonous record is tried before it is given up.
const attempts = 3

// poisoned is a run with poisonous records under one policy.
type poisoned struct {
	order   consumer.OrderBy
	then    consumer.Then
	letters string // in which store; "": none
	late    bool   // the worker is killed when the first letter is stored and the position is not, and not before either
}

// One record in 1,000 is poisonous, and the worker that has the first of them is killed while it gives the record up: every record is handled, in the letters or, under Block,
// waiting behind its key or in its shard, and each key is in order.
func TestPoisonUnderEachPolicy(t *testing.T) {
	t.Parallel()
	for order, policies := range map[consumer.OrderBy][]poisoned{
		consumer.PerKey: {
			{then: consumer.Block},
			{then: consumer.Skip},
			{then: consumer.DeadLetter, letters: "SQLite"},
			{then: consumer.ParkKey, letters: "SQLite", late: true},
		},
		consumer.PerShard: {
			{then: consumer.Block},
			{then: consumer.Skip},
			{then: consumer.DeadLetter, letters: "SQLite", late: true},
		},
	} {
		t.Run("Kinesis/"+order.String(), func(t *testing.T) {
			t.Parallel()
			for _, p := range policies { // one after the other: the endpoint is slow to take so many records
				p.order = order
				t.Run(p.then.String(), func(t *testing.T) {
					b, s := onKinesis(t, 2)
					p.run(t, b, s.keyed(t))
				})
			}
		})
	}
	t.Run("DynamoDB/PerKey/ParkKey", func(t *testing.T) {
		t.Parallel()
		b := newBench(t, stack.Clients, newTable(t, stack.Clients, "NEW_AND_OLD_IMAGES"))
		poisoned{order: consumer.PerKey, then: consumer.ParkKey, letters: "Redis"}.run(t, b, func(string) string { return "the only one" })
	})
}

func (p poisoned) run(t *testing.T, b *bench, shardOf func(key string) string) {
	const values = 20
	all := keys(100)
	ill := slices.DeleteFunc(slices.Clone(all), func(key string) bool { return shardOf(key) != shardOf(all[0]) })
	poison := []item{{ill[0], values / 4}, {ill[1], values * 3 / 4}} // of 2,000
	job := task{Timing: hasty, EveryN: 20, Order: p.order, Then: p.then, Attempts: attempts, Poison: poison, Hesitate: 100 * time.Millisecond}
	job.Hold, job.HoldStored = filepath.Join(t.TempDir(), "killed"), p.late
	c := newCrew(t, b)
	var a *archive
	if p.letters != "" {
		a = newArchive(t, b, p.letters)
		job.Letters = a.address
		a.watch(t, c)
	}
	workers := c.hireAll(t, 2, job)
	b.put(t, all, poison[0].N+1)
	var putting sync.WaitGroup
	putting.Go(func() {
		for range values - poison[0].N - 1 {
			if err := b.putOnce(context.WithoutCancel(t.Context()), all); err != nil {
				t.Error(err)
				return
			}
		}
	})
	victim := p.givesUp(t, c, a, workers)
	victim.kill(t)
	if a != nil {
		if stored := len(a.all(t)) > 0; stored != p.late {
			t.Errorf("the first letter was stored when the worker was killed: %t, want %t: the kill did not fall where it shall", stored, p.late)
		}
	}
	if err := os.WriteFile(job.Hold, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	putting.Wait()

	left := func() []item {
		return slices.DeleteFunc(b.missing(), func(it item) bool { return p.waits(it, poison, shardOf) })
	}
	eventually(t, func() string { return fmt.Sprintf("neither handled nor given up: %v\n%s", left(), b.log) }, func() bool { return len(left()) == 0 })
	if a != nil {
		want := len(b.missing())
		eventually(t, func() string { return fmt.Sprintf("%d letters, want %d", len(a.all(t)), want) }, func() bool { return len(a.all(t)) >= want })
	}
	eventually(t, says("no other worker came upon the poison"), func() bool {
		return slices.ContainsFunc(c.refused(), func(d delivery) bool { return d.Worker != victim.name }) || p.late && p.then == consumer.ParkKey
	})
	terminateAll(t, slices.DeleteFunc(workers, func(w *worker) bool { return w == victim }))

	p.check(t, b, c, poison)
	if a != nil {
		p.checkLetters(t, a, poison)
	}
}

// waits tells whether an item is not for the handler, or never its turn.
func (p poisoned) waits(it item, poison []item, shardOf func(key string) string) bool {
	switch {
	case p.then == consumer.Skip || p.then == consumer.DeadLetter:
		return slices.Contains(poison, it)
	case p.order == consumer.PerShard: // the poisonous key is the first of its shard in each round
		return shardOf(it.Key) == shardOf(poison[0].Key) && it.N >= poison[0].N
	}
	return follows(it, poison)
}

// follows tells whether an item is poisonous, or comes behind a poisonous one of its key.
func follows(it item, poison []item) bool {
	return slices.ContainsFunc(poison, func(ill item) bool { return it.Key == ill.Key && it.N >= ill.N })
}

// givesUp waits until a record is given up, and is the worker that does so.
func (p poisoned) givesUp(t *testing.T, c *crew, a *archive, workers []*worker) *worker {
	t.Helper()
	eventually(t, says("nothing is given up"), func() bool { return len(c.refused()) >= attempts && (!p.late || len(a.all(t)) > 0) })
	by := c.refused()[0].Worker
	return workers[slices.IndexFunc(workers, func(w *worker) bool { return w.name == by })]
}

// check holds what was handled against the policy, after all workers have stopped.
func (p poisoned) check(t *testing.T, b *bench, c *crew, poison []item) {
	t.Helper()
	all, gaps := b.log.all(), []item(nil)
	if p.then == consumer.Skip || p.then == consumer.DeadLetter {
		gaps = poison
	}
	checkKeys(t, all, gaps...)
	checkEpochs(t, all)
	if p.order == consumer.PerShard {
		checkShards(t, all)
	}
	stored := make(map[string]string)
	for _, r := range b.rows(t) {
		stored[r.Shard] = r.Position.Sort()
	}
	for _, d := range c.refused() {
		if passed := stored[d.Shard] >= d.Position; passed != (p.then != consumer.Block) {
			t.Errorf("the stored position %s has passed %+v: %t", stored[d.Shard], d, passed)
		}
		if !slices.Contains(poison, d.item()) {
			t.Errorf("refused: %+v", d)
		}
	}
	for _, d := range all {
		switch {
		case gaps == nil && follows(d.item(), poison):
			t.Errorf("handled although its key waits: %+v", d)
		case p.then != consumer.Block && stored[d.Shard] < d.Position:
			t.Errorf("the stored position %s has not passed %+v", stored[d.Shard], d)
		case p.then == consumer.Block && p.order == consumer.PerShard && d.Shard == c.refused()[0].Shard && d.Position > c.refused()[0].Position:
			t.Errorf("handled although its shard waits: %+v", d)
		}
	}
}

// checkLetters holds the letters against the policy: each record that was not handled once, in order.
func (p poisoned) checkLetters(t *testing.T, a *archive, poison []item) {
	t.Helper()
	parked := 0
	for _, ill := range poison {
		want := []item{ill}
		if p.then == consumer.ParkKey {
			want, parked = a.bench.from(ill), parked+1
		}
		if got := a.items(t, ill.Key); !slices.Equal(got, want) {
			t.Errorf("the letters of %s are %v, want %v", ill.Key, got, want)
		}
	}
	if got := a.parked(t); len(got) != parked {
		t.Errorf("parked are %q, want %d keys", got, parked)
	}
	for _, l := range a.all(t) {
		switch {
		case !slices.Contains(poison, l.item) && (p.then != consumer.ParkKey || l.Reason != deadletter.Followed || l.Attempts != 0 || len(l.Errors) != 0):
			t.Errorf("%v has the letter %+v", l.item, l.Letter)
		case slices.Contains(poison, l.item) && (l.Reason != deadletter.Attempts || l.Attempts != attempts || !slices.Contains(l.Errors, errPoison.Error())):
			t.Errorf("the poisonous %v has the letter %+v", l.item, l.Letter)
		}
	}
}
