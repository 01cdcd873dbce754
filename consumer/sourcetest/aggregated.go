package sourcetest

import (
	"testing"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
)

// aggregated is a shard with an aggregate between two records.
func aggregated() group {
	return group{
		name:   "Aggregated",
		shards: 1,
		needs:  []Ability{Aggregate},
		begin: func(tb testing.TB, x *subject) {
			x.put(tb, 1, "a")
			x.aggregate(tb, "k", 4)
			x.put(tb, 1, "a")
			x.ref = x.tip(tb)
			x.ref.close(tb)
		},
		exams: []exam{
			{name: "TakenApart", run: takenApart},
			{name: "Resumed", run: resumedInside},
		},
	}
}

func (x *subject) aggregate(tb testing.TB, key string, n int) {
	tb.Helper()
	values := make([][]byte, n)
	for i := range values {
		p := put{key: key, value: "aggregated-" + string(rune('a'+i))}
		values[i] = []byte(p.value)
		x.puts = append(x.puts, p)
	}
	if err := x.PutAggregate(within(tb), key, values...); err != nil {
		tb.Fatalf("put an aggregate: %v", err)
	}
}

func takenApart(tb testing.TB, x *subject) {
	for i, g := range x.ref.given {
		var want uint32
		if i >= 1 && i <= 4 {
			want = uint32(i)
		}
		if got := g.position.Aggregated(); got != want {
			tb.Errorf("the record %s is at %s, number %d of its aggregate; want %d", g.value, g.position, got, want)
		}
	}
	single := x.open(tb, x.ref.shard, checkpoint.Start{})
	single.until(tb, len(x.puts), consumer.Want{Records: 1})
	single.mustGive(tb, x.puts)
	single.close(tb)
}

// resumedInside: a position inside an aggregate survives a crash in the middle of it, and the position of the whole is after all of it.
func resumedInside(tb testing.TB, x *subject) {
	n := len(x.ref.given)
	for i, g := range x.ref.given[:n-1] {
		r := x.open(tb, x.ref.shard, checkpoint.After(g.position))
		r.until(tb, n-i-1, consumer.Want{})
		r.mustGive(tb, x.puts[i+1:])
		r.close(tb)
	}
	whole, err := checkpoint.Sequence(x.ref.given[1].position.Sequence())
	if err != nil {
		tb.Fatal(err)
	}
	r := x.open(tb, x.ref.shard, checkpoint.After(whole))
	r.until(tb, 1, consumer.Want{})
	r.mustGive(tb, x.puts[n-1:])
	r.close(tb)
}
