package consumer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestSettledNeverCountsWhatIsNotDone(t *testing.T) {
	why := errors.New("why")
	for _, c := range []struct {
		err          error
		done, failed int
	}{
		{nil, 3, 0},
		{why, 0, 3},
		{&PartialError{Done: 2, Err: why}, 2, 1},
		{fmt.Errorf("wrapped: %w", &PartialError{Done: 1, Err: why}), 1, 1},
		{&PartialError{Done: 0, Err: why}, 0, 1},
		{&PartialError{Done: 3, Err: why}, 0, 3},
		{&PartialError{Done: -1, Err: why}, 0, 3},
	} {
		done, failed, failure := settled(3, c.err)
		if done != c.done || failed != c.failed || (failure == nil) != (c.err == nil) || c.err != nil && !errors.Is(failure, why) {
			t.Errorf("%v: %d done, %d failed, %v; want %d and %d", c.err, done, failed, failure, c.done, c.failed)
		}
	}
	if done, _, failure := settled(3, &PartialError{Done: 1}); done != 1 || failure == nil {
		t.Errorf("a PartialError without a reason: %d done, %v", done, failure)
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
	done, _, failure := settled(3, h.Handle(t.Context(), []Record{{Position: at(1)}, {Position: at(2)}, {Position: at(3)}}))
	var p *PanicError
	if done != 1 || !errors.As(failure, &p) || !errors.Is(failure, why) || !strings.Contains(string(p.Stack), "TestEachStopsAtTheRecordThatPanics") {
		t.Errorf("%d done, %v", done, failure)
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
