package sourcetest

import (
	"slices"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
)

// instants is a shard that is read from instants on, with older records before them.
func instants() group {
	return group{
		name:   "Instants",
		shards: 1,
		begin: func(tb testing.TB, x *subject) {
			x.put(tb, 3, "a", "b")
			if x.Pass != nil {
				if err := x.Pass(within(tb), 2*x.driver.Coarse+10*time.Millisecond); err != nil {
					tb.Fatalf("let time pass: %v", err)
				}
			}
			x.pinned = x.pin(tb)
			x.put(tb, 3, "a", "b")
			x.ref = x.tip(tb)
			x.ref.close(tb)
		},
		exams: []exam{
			{name: "NoneMissing", run: noneMissing},
			{name: "OlderLeftOut", needs: []Ability{Pass}, run: olderLeftOut},
		},
	}
}

// noneMissing: what arrived at an instant or later is given; what is older may be, as the service cuts instants.
func noneMissing(tb testing.TB, x *subject) {
	for _, at := range []checkpoint.Start{x.pinned, checkpoint.AtTime(x.ref.given[3].arrived)} {
		r := x.open(tb, x.ref.shard, at)
		for ctx := within(tb); len(r.given) == 0 || r.given[len(r.given)-1].put != x.puts[5]; {
			r.next(ctx, tb, consumer.Want{})
		}
		if n := len(r.given); n < 3 || n > 6 || !slices.Equal(putsOf(r.given), x.puts[6-n:]) {
			tb.Errorf("%s gave\n\t%v\nwant all of\n\t%v", r, putsOf(r.given), x.puts[3:])
		}
		r.close(tb)
	}
	all := x.open(tb, x.ref.shard, checkpoint.AtTime(x.ref.given[0].arrived.Add(-time.Minute)))
	all.until(tb, len(x.puts), consumer.Want{})
	all.mustGive(tb, x.puts)
	all.close(tb)
}

func olderLeftOut(tb testing.TB, x *subject) {
	for _, at := range []checkpoint.Start{x.pinned, checkpoint.AtTime(x.ref.given[3].arrived)} {
		r := x.open(tb, x.ref.shard, at)
		r.until(tb, 3, consumer.Want{})
		r.mustGive(tb, x.puts[3:])
		r.close(tb)
	}
}
