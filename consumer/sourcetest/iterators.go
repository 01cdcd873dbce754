package sourcetest

import (
	"testing"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
)

// iterators is a shard whose readers find their iterators expired.
func iterators() group {
	return group{
		name:   "Iterators",
		shards: 1,
		needs:  []Ability{Expire},
		begin:  func(tb testing.TB, x *subject) { x.put(tb, 6, "a", "b") },
		exams: []exam{
			{name: "Expired", run: expired},
			{name: "ExpiredUnused", run: expiredUnused},
			{name: "ExpiredAtTip", run: expiredAtTip},
		},
	}
}

func (x *subject) expire(tb testing.TB) {
	tb.Helper()
	if err := x.Expire(within(tb)); err != nil {
		tb.Fatalf("let iterators expire: %v", err)
	}
}

func expired(tb testing.TB, x *subject) {
	r := x.open(tb, x.only(tb), checkpoint.Start{})
	for _, n := range []int{2, 4, len(x.puts)} {
		r.until(tb, n, consumer.Want{Records: 2})
		x.expire(tb)
	}
	r.next(within(tb), tb, consumer.Want{})
	r.mustGive(tb, x.puts)
	r.close(tb)
}

func expiredUnused(tb testing.TB, x *subject) {
	all := x.tip(tb)
	all.close(tb)
	r := x.open(tb, all.shard, checkpoint.After(all.given[1].position))
	x.expire(tb)
	r.until(tb, len(x.puts)-2, consumer.Want{})
	r.mustGive(tb, x.puts[2:])
	r.close(tb)
}

func expiredAtTip(tb testing.TB, x *subject) {
	r := x.tip(tb)
	x.expire(tb)
	x.put(tb, 1, "a")
	r.until(tb, len(x.puts), consumer.Want{})
	r.mustGive(tb, x.puts)
	r.close(tb)
}
