package consumer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/runnelhq/runnel/dedup"
)

func TestSettledNeverCountsWhatIsNotDone(t *testing.T) {
	why := errors.New("why")
	for _, c := range []struct {
		err              error
		done, first, end int
	}{
		{nil, 3, 3, 3},
		{why, 0, 0, 3},
		{&PartialError{Done: 2, Err: why}, 2, 2, 3},
		{fmt.Errorf("wrapped: %w", &PartialError{Done: 1, Err: why}), 1, 1, 2},
		{&PartialError{Done: 0, Err: why}, 0, 0, 1},
		{&PartialError{Done: 3, Err: why}, 0, 0, 3},
		{&PartialError{Done: -1, Err: why}, 0, 0, 3},
		{&dedup.RolledBackError{Err: why}, 0, 0, 3},
		{&dedup.RolledBackError{Err: &PartialError{Done: 2, Err: why}}, 0, 2, 3}, // what was done before it is undone
		{fmt.Errorf("wrapped: %w", &dedup.RolledBackError{Err: &PartialError{Done: 3, Err: why}}), 0, 0, 3},
	} {
		o := outcomeOf(3, c.err)
		if o.done != c.done || o.first != c.first || o.end != c.end || (o.why == nil) != (c.err == nil) || c.err != nil && !errors.Is(o.why, why) {
			t.Errorf("%v: %+v; want %+v", c.err, o, c)
		}
	}
	if o := outcomeOf(3, &PartialError{Done: 1}); o.done != 1 || o.why == nil {
		t.Errorf("a PartialError without a reason: %+v", o)
	}
}

func TestEachStopsAtTheRecordThatPanics(t *testing.T) {
	why := errors.New("why")
	h := Each(func(_ context.Context, r Record) error {
		if r.Position == at(2) {
			panic(why)
		}
		return nil
	})
	o := outcomeOf(3, h.Handle(t.Context(), []Record{{Position: at(1)}, {Position: at(2)}, {Position: at(3)}}))
	var p *PanicError
	if o.done != 1 || !errors.As(o.why, &p) || !errors.Is(o.why, why) || !strings.Contains(string(p.Stack), "TestEachStopsAtTheRecordThatPanics") {
		t.Errorf("%+v", o)
	}
}

func TestJSONNamesShardAndPositionOfWhatItCannotDecode(t *testing.T) {
	type order struct{ ID int }
	var got []order
	h := JSON(func(_ context.Context, o order, _ Record) error {
		got = append(got, o)
		return nil
	})
	err := h.Handle(t.Context(), []Record{
		{Shard: "s", Position: at(1), Data: []byte(`{"ID":7}`)},
		{Shard: "s", Position: at(2), Data: []byte(`{"ID":"x"}`)},
	})
	var d *DecodeError
	if !errors.As(err, &d) || d.Shard != "s" || d.Position != at(2) || !strings.Contains(err.Error(), "shard s, record 2") {
		t.Errorf("got %v", err)
	}
	if len(got) != 1 || got[0].ID != 7 {
		t.Errorf("handled %v", got)
	}
}

func TestHooksJoin(t *testing.T) {
	var calls []string
	h := JoinHooks(
		Hooks{Gap: func(Gap) { calls = append(calls, "a") }},
		Hooks{},
		Hooks{Gap: func(Gap) { calls = append(calls, "b") }},
	)
	h.Gap(Gap{})
	if strings.Join(calls, "") != "ab" || h.Page != nil {
		t.Errorf("called %v; a hook that nobody set: %v", calls, h.Page != nil)
	}
}
