package sourcetest

import (
	"errors"
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
	for n := 0; n < 2*len(old); n++ {
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
