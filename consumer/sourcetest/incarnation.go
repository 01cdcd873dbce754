package sourcetest

import (
	"errors"
	"slices"
	"testing"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
)

// recreated is a stream that is deleted, and made anew under its name.
func recreated() group {
	return group{
		name:   "Recreated",
		shards: 1,
		needs:  []Ability{Recreate},
		exams:  []exam{{name: "AnotherIncarnation", run: anotherIncarnation}},
	}
}

func anotherIncarnation(tb testing.TB, x *subject) {
	ctx := within(tb)
	old := slices.Clone(x.put(tb, 3, "a", "b"))
	running := x.open(tb, x.only(tb), checkpoint.Start{})
	running.until(tb, 1, consumer.Want{Records: 1})
	st, sh := running.stream, running.shard
	if err := x.Delete(ctx); err != nil {
		tb.Fatalf("delete: %v", err)
	}
	_, err := x.Source().Stream(ctx)
	mustBe(tb, "Stream after the stream was deleted", err, consumer.ErrNoStream)
	if err := x.Create(ctx); err != nil {
		tb.Fatalf("create: %v", err)
	}
	x.puts = nil
	fresh := []put{{"a", "fresh-1"}, {"b", "fresh-2"}}
	for _, p := range fresh {
		if err := x.Put(ctx, p.key, []byte(p.value)); err != nil {
			tb.Fatalf("put %s: %v", p.value, err)
		}
	}
	src := x.Source()
	now := ask(tb, src)
	if now.Incarnation == st.Incarnation || now.Name != st.Name {
		tb.Errorf("the stream was %q of incarnation %q and is now %q of %q; want one name and two incarnations", st.Name, st.Incarnation, now.Name, now.Incarnation)
	}
	r := x.open(tb, x.only(tb), checkpoint.Start{})
	r.until(tb, len(fresh), consumer.Want{})
	r.mustGive(tb, fresh)
	r.close(tb)

	x.mustStayWith(tb, running.Reader, old)
	late, err := src.Open(ctx, st, sh, checkpoint.Start{})
	if err != nil {
		mustBe(tb, "open a shard of the deleted incarnation", err, consumer.ErrNoStream)
		return
	}
	x.mustStayWith(tb, late, old)
}

// mustStayWith reads on with a reader of a deleted incarnation: it may still give what that held, and gives nothing of another.
func (x *subject) mustStayWith(tb testing.TB, r consumer.Reader, old []put) {
	tb.Helper()
	ctx := within(tb)
	for range 2 * len(old) {
		p, err := r.Next(ctx, consumer.Want{})
		if err != nil {
			mustBe(tb, "Next of a deleted incarnation", err, consumer.ErrNoStream)
			break
		}
		for _, rec := range p.Records {
			if key, value, err := x.read(rec); err != nil || !slices.Contains(old, put{key, string(value)}) {
				tb.Errorf("a reader of the deleted incarnation gave %q, %v, which is of the new one", value, err)
			}
		}
		release(p)
		if p.End {
			break
		}
	}
	(&reading{Reader: r}).close(tb)
}

// missing is a name without a stream.
func missing() group {
	return group{name: "Missing", exams: []exam{{name: "NoStream", run: func(tb testing.TB, x *subject) {
		_, err := x.driver.Missing(tb).Stream(within(tb))
		mustBe(tb, "Stream of a name that has none", err, consumer.ErrNoStream)
		if errors.Is(err, consumer.ErrNoShard) {
			tb.Errorf("the error is also ErrNoShard: %v", err)
		}
	}}}}
}
