package sourcetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
)

// live is a shard that begins empty and is read while records come.
func live() group {
	return group{
		name:   "Live",
		shards: 1,
		exams: []exam{
			{name: "PinnedOnEmpty", run: pinnedOnEmpty},
			{name: "Idle", run: idle},
			{name: "Cancelled", run: cancelled},
		},
	}
}

// pinnedOnEmpty is the start of a consumer that begins at LATEST and dies before its first record: its successor loses none.
func pinnedOnEmpty(tb testing.TB, x *subject) {
	sh := x.only(tb)
	pinned := x.pin(tb)
	before := len(x.puts)
	empty := x.open(tb, sh, pinned)
	if empty.next(within(tb), tb, consumer.Want{}); before == 0 && !empty.through.IsZero() {
		tb.Errorf("%s: Through is %q and nothing was ever put", empty, empty.through)
	}
	empty.close(tb)
	want := x.put(tb, 3, "a", "b")
	r := x.open(tb, sh, pinned)
	r.until(tb, len(want), consumer.Want{})
	r.mustGive(tb, want)
	r.close(tb)
}

// pin is LATEST, pinned and stored as text as a lease does.
func (x *subject) pin(tb testing.TB) checkpoint.Start {
	tb.Helper()
	src := x.Source()
	at, err := src.Pin(within(tb), ask(tb, src), checkpoint.Latest())
	if err != nil {
		tb.Fatalf("Pin LATEST: %v", err)
	}
	if at.Kind() != checkpoint.StartAtTime {
		tb.Errorf("Pin turned LATEST into %s, want an instant", at)
	}
	text, err := at.MarshalText()
	if err != nil {
		tb.Fatalf("store the start %s: %v", at, err)
	}
	var stored checkpoint.Start
	if err := stored.UnmarshalText(text); err != nil {
		tb.Fatalf("read the start %s back: %v", at, err)
	}
	return stored
}

// tip is a reader that has read everything and got a page without records.
func (x *subject) tip(tb testing.TB) *reading {
	tb.Helper()
	r := x.open(tb, x.only(tb), checkpoint.Start{})
	r.until(tb, len(x.puts), consumer.Want{})
	if r.next(within(tb), tb, consumer.Want{}); r.end {
		tb.Errorf("%s ended an open shard", r)
	}
	r.mustGive(tb, x.puts)
	return r
}

func idle(tb testing.TB, x *subject) {
	r := x.tip(tb)
	for range 2 {
		x.put(tb, 1, "a")
		r.until(tb, len(x.puts), consumer.Want{})
		r.next(within(tb), tb, consumer.Want{})
	}
	r.mustGive(tb, x.puts)
	r.close(tb)
}

// prompt is how soon a call must return whose context has ended.
const prompt = 3 * time.Second

func cancelled(tb testing.TB, x *subject) {
	r := x.tip(tb)
	cause := errors.New("the shard is wanted elsewhere")
	ctx, cancel := context.WithCancelCause(within(tb))
	empty, failed := make(chan struct{}, 1), make(chan error, 1)
	go func() { failed <- readUntilError(ctx, r, empty) }()
	late := time.NewTimer(limit)
	defer late.Stop()
	select {
	case <-empty:
	case err := <-failed:
		tb.Fatalf("%s: Next on an idle shard: %v", r, err)
	case <-late.C:
		tb.Fatalf("%s: Next on an idle shard gives no page", r)
	}
	cancel(cause)
	late.Reset(prompt)
	select {
	case err := <-failed:
		mustBe(tb, "Next whose context was cancelled", err, cause)
	case <-late.C:
		tb.Fatalf("%s: Next has not returned %v after its context was cancelled", r, prompt)
	}
	_, err := r.Next(ctx, consumer.Want{})
	mustBe(tb, "Next with a context that was cancelled before", err, cause)
	x.put(tb, 2, "a", "b")
	r.until(tb, len(x.puts), consumer.Want{})
	r.mustGive(tb, x.puts)
	r.close(tb)
}

// readUntilError reads pages until one fails, and says so when the first was there. One call may have been answered when ctx ended, the next may not.
func readUntilError(ctx context.Context, r consumer.Reader, first chan<- struct{}) error {
	for late := 0; late < 2; {
		p, err := r.Next(ctx, consumer.Want{})
		if err != nil {
			return err
		}
		release(p)
		if ctx.Err() != nil {
			late++
		}
		select {
		case first <- struct{}{}:
		default:
		}
	}
	return errors.New("sourcetest: Next gives pages though its context has ended")
}
