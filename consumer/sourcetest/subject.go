package sourcetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
)

// limit is how long one part of the suite waits for an endpoint that does not answer.
const limit = time.Minute

var errLimit = fmt.Errorf("sourcetest: no answer within %v", limit)

// subject is a stream under test, and what was put into it.
type subject struct {
	*Stream
	driver Driver
	puts   []put

	ref    *reading         // what a group has read before its exams
	pinned checkpoint.Start // LATEST, before the newer records of the group
}

type put struct{ key, value string }

func newSubject(tb testing.TB, d Driver, shards int) *subject {
	tb.Helper()
	x := &subject{driver: d}
	if shards == 0 {
		return x
	}
	if _, one := d.Lacks[Shards]; one {
		shards = 1
	}
	x.Stream = d.New(tb, shards)
	for a, has := range x.has() {
		_, lacks := d.Lacks[a]
		if has == lacks {
			tb.Fatalf("ability %s: the stream has it: %t, and Driver.Lacks says that it lacks it: %t; give either the function or the reason", a, has, lacks)
		}
	}
	for a := range d.Lacks {
		if _, known := x.has()[a]; !known && a != Shards {
			tb.Fatalf("Driver.Lacks has an ability that there is not: %q", a)
		}
	}
	return x
}

// within is tb's context with the suite's limit.
func within(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeoutCause(tb.Context(), limit, errLimit)
	tb.Cleanup(cancel)
	return ctx
}

// put puts n records with the given keys in turn, and returns them.
func (x *subject) put(tb testing.TB, n int, keys ...string) []put {
	tb.Helper()
	ctx := within(tb)
	first := len(x.puts)
	for i := range n {
		p := put{key: keys[i%len(keys)], value: fmt.Sprintf("value-%03d", len(x.puts))}
		if err := x.Put(ctx, p.key, []byte(p.value)); err != nil {
			tb.Fatalf("put %s: %v", p.value, err)
		}
		x.puts = append(x.puts, p)
	}
	return x.puts[first:]
}

// ask asks src for its stream.
func ask(tb testing.TB, src consumer.Source) consumer.Stream {
	tb.Helper()
	st, err := src.Stream(within(tb))
	if err != nil {
		tb.Fatalf("Stream: %v", err)
	}
	return st
}

// list is the listing of a new source.
func (x *subject) list(tb testing.TB) []consumer.Shard {
	tb.Helper()
	src := x.Source()
	return list(tb, src, ask(tb, src))
}

func list(tb testing.TB, src consumer.Source, st consumer.Stream) []consumer.Shard {
	tb.Helper()
	var shards []consumer.Shard
	for sh, err := range src.Shards(within(tb), st) {
		if err != nil {
			tb.Fatalf("Shards: %v", err)
		}
		shards = append(shards, sh)
	}
	return shards
}

// only is the one shard of a stream that was made with one, or the first shard.
func (x *subject) only(tb testing.TB) consumer.Shard {
	tb.Helper()
	shards := x.list(tb)
	if len(shards) == 0 {
		tb.Fatal("a new stream has no shard")
	}
	return shards[0]
}

func byID(shards []consumer.Shard, id string) (consumer.Shard, bool) {
	i := slices.IndexFunc(shards, func(sh consumer.Shard) bool { return sh.ID == id })
	if i < 0 {
		return consumer.Shard{}, false
	}
	return shards[i], true
}

// open opens a shard by a source of its own, as another process would.
func (x *subject) open(tb testing.TB, sh consumer.Shard, at checkpoint.Start) *reading {
	tb.Helper()
	src := x.Source()
	st := ask(tb, src)
	r, err := src.Open(within(tb), st, sh, at)
	if err != nil {
		tb.Fatalf("open shard %s at %s: %v", sh.ID, at, err)
	}
	return &reading{x: x, Reader: r, stream: st, shard: sh, at: at}
}

// mustBe reports an error that is not the expected fact.
func mustBe(tb testing.TB, what string, err, want error) {
	tb.Helper()
	if !errors.Is(err, want) {
		tb.Errorf("%s: got error %v, want one that is %q", what, err, want)
	}
}
