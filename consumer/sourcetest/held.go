package sourcetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
)

// held is what can be asked of a stream that holds records and does not change.
func held() group {
	return group{
		name:   "Held",
		shards: 2,
		begin:  func(tb testing.TB, x *subject) { x.put(tb, 24, "a", "b", "c", "d", "e", "f") },
		exams: []exam{
			{name: "Listing", run: listing},
			{name: "EverythingOnce", run: everythingOnce},
			{name: "Resumed", run: resumed},
			{name: "Bounds", run: bounds},
			{name: "Buffers", run: buffers},
			{name: "ReadersApart", run: readersApart},
			{name: "PinKeepsOthers", run: pinKeepsOthers},
			{name: "UnknownShard", run: unknownShard},
			{name: "Concurrent", run: concurrent},
		},
	}
}

func listing(tb testing.TB, x *subject) {
	first, second := x.list(tb), x.list(tb)
	if len(first) == 0 {
		tb.Fatal("a new stream has no shard")
	}
	seen := make(map[string]bool)
	for _, sh := range first {
		if sh.ID == "" || seen[sh.ID] || sh.Closed || len(sh.Parents) > 0 {
			tb.Errorf("a new stream lists %+v, want open shards without parents, each once", sh)
		}
		seen[sh.ID] = true
		if _, again := byID(second, sh.ID); !again {
			tb.Errorf("another source does not list shard %s", sh.ID)
		}
	}
}

// everything reads all shards from the oldest record on until as many records were given as were put.
func (x *subject) everything(tb testing.TB, w consumer.Want) []*reading {
	tb.Helper()
	var rs []*reading
	for _, sh := range x.list(tb) {
		rs = append(rs, x.open(tb, sh, checkpoint.Start{}))
	}
	gather(tb, rs, len(x.puts), w)
	return rs
}

// gather reads with several readers in turn until they have given n records between them.
func gather(tb testing.TB, rs []*reading, n int, w consumer.Want) {
	tb.Helper()
	for ctx := within(tb); n > 0; {
		open := 0
		for _, r := range rs {
			if !r.end {
				open++
				n -= r.next(ctx, tb, w)
			}
		}
		if open == 0 {
			tb.Fatalf("%d shards have ended and %d records are missing", len(rs), n)
		}
	}
}

func everythingOnce(tb testing.TB, x *subject) {
	rs := x.everything(tb, consumer.Want{Records: 5})
	ctx := within(tb)
	for _, r := range rs {
		if r.next(ctx, tb, consumer.Want{Records: 5}) > 0 {
			tb.Errorf("%s gave more records than were put", r)
		}
		r.close(tb)
	}
	x.mustHaveAll(tb, rs)
	shardOf, keyOf := make(map[string]string), make(map[string]string)
	for _, r := range rs {
		for _, g := range r.given {
			if other, ok := shardOf[g.key]; ok && other != r.shard.ID && r.stream.KeyOrder {
				tb.Errorf("the records of key %q are in the shards %s and %s, and Stream says that keys have an order", g.key, other, r.shard.ID)
			}
			shardOf[g.key] = r.shard.ID
			if other, ok := keyOf[g.recordKey]; g.recordKey == "" || ok && other != g.key {
				tb.Errorf("Record.Key is %q for the key %q and for %q", g.recordKey, g.key, other)
			}
			keyOf[g.recordKey] = g.key
		}
	}
	if len(keyOf) != len(shardOf) {
		tb.Errorf("%d keys were put and the records have %d: the records of a key have one", len(shardOf), len(keyOf))
	}
}

// mustHaveAll reports what the readings, the earlier of a lineage first, lack of the puts, gave twice, or gave of a key in another order.
func (x *subject) mustHaveAll(tb testing.TB, rs []*reading) {
	tb.Helper()
	got, want := make(map[string][]string), make(map[string][]string)
	for _, r := range rs {
		for _, g := range r.given {
			got[g.key] = append(got[g.key], g.value)
		}
	}
	for _, p := range x.puts {
		want[p.key] = append(want[p.key], p.value)
	}
	for key := range want {
		if !slices.Equal(got[key], want[key]) {
			tb.Errorf("the records of key %q are\n\t%v\nwant\n\t%v", key, got[key], want[key])
		}
	}
	for key := range got {
		if want[key] == nil {
			tb.Errorf("records of key %q, which was never put", key)
		}
	}
}

// fullest is what the shard with the most records gives. It is read once.
func (x *subject) fullest(tb testing.TB) *reading {
	tb.Helper()
	if x.ref == nil {
		rs := x.everything(tb, consumer.Want{Records: 5})
		for _, r := range rs {
			r.close(tb)
		}
		x.ref = slices.MaxFunc(rs, func(a, b *reading) int { return len(a.given) - len(b.given) })
	}
	return x.ref
}

func resumed(tb testing.TB, x *subject) {
	whole := x.fullest(tb)
	n := len(whole.given)
	for _, i := range []int{0, n / 2, n - 1} {
		r := x.open(tb, whole.shard, checkpoint.After(whole.given[i].position))
		r.until(tb, n-i-1, consumer.Want{})
		r.mustGive(tb, putsOf(whole.given[i+1:]))
		r.close(tb)
	}
	tip := x.open(tb, whole.shard, checkpoint.After(whole.given[n-1].position))
	tip.next(within(tb), tb, consumer.Want{})
	tip.mustGive(tb, nil)
	if tip.end {
		tb.Errorf("%s ended an open shard", tip)
	}
	tip.close(tb)
}

func bounds(tb testing.TB, x *subject) {
	whole := x.fullest(tb)
	for _, w := range []consumer.Want{{Records: 1}, {Records: 4}, {Bytes: 1}, {Bytes: whole.bytes/int64(len(whole.given))*2 + 1}, {Records: 3, Bytes: 1 << 20}} {
		r := x.open(tb, whole.shard, checkpoint.Start{})
		r.until(tb, min(6, len(whole.given)), w)
		if got := putsOf(r.given); !slices.Equal(got, putsOf(whole.given[:len(got)])) {
			tb.Errorf("%s in pages of %+v gave\n\t%v\nwant the first of\n\t%v", r, w, got, putsOf(whole.given))
		}
		r.close(tb)
	}
}

// buffers holds several pages at once, and releases them one by one while the others are still read.
func buffers(tb testing.TB, x *subject) {
	whole := x.fullest(tb)
	r := x.open(tb, whole.shard, checkpoint.Start{})
	ctx := within(tb)
	var pages []consumer.Page
	for n := 0; n < min(6, len(whole.given)); {
		p, err := r.Next(ctx, consumer.Want{Records: 2})
		if err != nil {
			tb.Fatalf("%s: Next: %v", r, err)
		}
		pages = append(pages, p)
		n += len(p.Records)
	}
	at := 0
	for len(pages) > 0 {
		i := at
		for _, p := range pages {
			for _, rec := range p.Records {
				key, value, err := x.read(rec)
				if got := (put{key, string(value)}); err != nil || got != whole.given[i].put {
					tb.Errorf("%s: a record of a page that is still held reads %v, %v; want %v", r, got, err, whole.given[i].put)
				}
				i++
			}
		}
		at += len(pages[0].Records)
		release(pages[0])
		pages = pages[1:]
	}
	r.close(tb)
}

func readersApart(tb testing.TB, x *subject) {
	whole := x.fullest(tb)
	src, ctx := x.Source(), within(tb)
	st := ask(tb, src)
	var rs [2]*reading
	for i := range rs {
		r, err := src.Open(ctx, st, whole.shard, checkpoint.Start{})
		if err != nil {
			tb.Fatalf("open shard %s: %v", whole.shard.ID, err)
		}
		rs[i] = &reading{Reader: r, x: x, stream: st, shard: whole.shard}
	}
	rs[0].until(tb, 2, consumer.Want{Records: 2})
	rs[1].until(tb, 1, consumer.Want{Records: 1})
	rs[0].close(tb)
	rs[1].until(tb, len(whole.given), consumer.Want{})
	rs[1].mustGive(tb, putsOf(whole.given))
	rs[1].close(tb)
}

func pinKeepsOthers(tb testing.TB, x *subject) {
	src := x.Source()
	st := ask(tb, src)
	p := x.fullest(tb).given[0].position
	for _, at := range []checkpoint.Start{{}, checkpoint.AtTime(time.Unix(1_700_000_000, 5)), checkpoint.After(p)} {
		if got, err := src.Pin(within(tb), st, at); err != nil || got != at {
			tb.Errorf("Pin of %s is %s, %v; want it as it is", at, got, err)
		}
	}
}

// unknownShard asks for an ID that is like those of the service and does not exist.
func unknownShard(tb testing.TB, x *subject) {
	src := x.Source()
	st := ask(tb, src)
	shards := list(tb, src, st)
	id := []byte(shards[0].ID)
	i := strings.LastIndexAny(shards[0].ID, "0123456789")
	if i < 0 {
		tb.Fatalf("shard ID %q has no digit that could be another", id)
	}
	id[i] = '0' + '9' - id[i]
	for _, at := range []checkpoint.Start{{}, checkpoint.AtTime(time.Now())} {
		r, err := src.Open(within(tb), st, consumer.Shard{ID: string(id)}, at)
		mustBe(tb, fmt.Sprintf("open unknown shard %s at %s", id, at), err, consumer.ErrNoShard)
		if err == nil {
			(&reading{Reader: r}).close(tb)
		}
	}
}

// concurrent uses one source from many goroutines: the race detector judges.
func concurrent(tb testing.TB, x *subject) {
	src, ctx := x.Source(), within(tb)
	errs := make(chan error)
	const n = 4
	for range n {
		go func() { errs <- useAll(ctx, src) }()
	}
	for range n {
		if err := <-errs; err != nil {
			tb.Errorf("a source in use by %d goroutines: %v", n, err)
		}
	}
}

func useAll(ctx context.Context, src consumer.Source) error {
	st, err := src.Stream(ctx)
	if err != nil {
		return err
	}
	if _, err := src.Pin(ctx, st, checkpoint.Latest()); err != nil {
		return err
	}
	for sh, err := range src.Shards(ctx, st) {
		if err != nil {
			return err
		}
		r, err := src.Open(ctx, st, sh, checkpoint.Start{})
		if err != nil {
			return err
		}
		p, err := r.Next(ctx, consumer.Want{Records: 1})
		if err != nil {
			return err
		}
		release(p)
		if err := r.Close(); err != nil {
			return err
		}
	}
	return nil
}
