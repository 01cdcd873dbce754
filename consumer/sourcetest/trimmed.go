package sourcetest

import (
	"slices"
	"testing"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
)

// trimmed is a shard that lost its oldest records.
func trimmed() group {
	return group{
		name:   "Trimmed",
		shards: 1,
		needs:  []Ability{Trim},
		begin: func(tb testing.TB, x *subject) {
			x.put(tb, 4, "a", "b")
			x.ref = x.open(tb, x.only(tb), checkpoint.Start{})
			x.ref.until(tb, 1, consumer.Want{Records: 1})
			if err := x.Trim(within(tb)); err != nil {
				tb.Fatalf("trim: %v", err)
			}
			x.put(tb, 2, "a", "b")
		},
		exams: []exam{
			{name: "Position", run: trimmedPosition},
			{name: "Horizon", run: trimmedHorizon},
			{name: "FellBehind", run: fellBehind},
		},
	}
}

func trimmedPosition(tb testing.TB, x *subject) {
	src, ctx := x.Source(), within(tb)
	r, err := src.Open(ctx, ask(tb, src), x.ref.shard, checkpoint.After(x.ref.given[0].position))
	if err == nil {
		_, err = r.Next(ctx, consumer.Want{})
		(&reading{Reader: r}).close(tb)
	}
	mustBe(tb, "open after a position whose successors were trimmed", err, consumer.ErrTrimmed)
}

func trimmedHorizon(tb testing.TB, x *subject) {
	r := x.open(tb, x.ref.shard, checkpoint.Start{})
	r.until(tb, 2, consumer.Want{})
	r.mustGive(tb, x.puts[4:])
	r.close(tb)
}

// fellBehind: a reader may hold what was trimmed meanwhile, and gives no record beyond a gap.
func fellBehind(tb testing.TB, x *subject) {
	ctx := within(tb)
	for len(x.ref.given) < len(x.puts) {
		p, err := x.ref.Next(ctx, consumer.Want{Records: 1})
		if err != nil {
			mustBe(tb, "Next of a reader whose next records were trimmed", err, consumer.ErrTrimmed)
			_, err = x.ref.Next(ctx, consumer.Want{Records: 1})
			mustBe(tb, "Next after that", err, consumer.ErrTrimmed)
			break
		}
		for _, rec := range p.Records {
			x.ref.note(tb, rec)
		}
		release(p)
		if n := len(x.ref.given); n > len(x.puts) || !slices.Equal(putsOf(x.ref.given), x.puts[:n]) {
			tb.Errorf("%s was overtaken by the trimming and gave %v", x.ref, putsOf(x.ref.given))
			break
		}
	}
	x.ref.close(tb)
}
