package instants

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"testing"

	"go.uber.org/goleak"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/memdedup"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scene is a watched sink, what it tells, and who orders.
type scene struct {
	dedup.Effects[*memdedup.Tx]
	told   chan Event
	orders io.WriteCloser
}

func newScene(t *testing.T, unmarked bool) *scene {
	t.Helper()
	in, out := io.Pipe()
	s := &scene{told: make(chan Event, 100), orders: out}
	o := newOrders(func(e Event) { s.told <- e })
	obeyed := make(chan struct{})
	go func() {
		o.obey(in)
		close(obeyed)
	}()
	t.Cleanup(func() {
		_ = out.Close() // of a pipe in memory
		<-obeyed
	})
	s.Effects = watch(memdedup.New(), Task{Worker: "w", Unmarked: unmarked}, o)
	return s
}

func (s *scene) order(t *testing.T, text string) {
	t.Helper()
	for _, line := range []string{text, ""} { // the second is read when the first is obeyed
		if _, err := fmt.Fprintln(s.orders, line); err != nil {
			t.Fatal(err)
		}
	}
}

func mark(n uint64) dedup.Mark {
	return dedup.Mark{App: "app", Stream: "stream", Shard: "s", Position: checkpoint.Offset(n), Epoch: 3, Session: "session"}
}

// apply counts its records in the sink.
func (s *scene) apply(ctx context.Context, ns ...uint64) error {
	ms := make([]dedup.Mark, len(ns))
	for i, n := range ns {
		ms[i] = mark(n)
	}
	return s.Apply(ctx, ms, func(tx *memdedup.Tx, fresh []int) error {
		n, _ := tx.Get("n")
		tx.Set("n", append(n, make([]byte, len(fresh))...))
		return nil
	})
}

func (s *scene) seal(t *testing.T) {
	t.Helper()
	if _, err := s.Seal(t.Context(), mark(0)); err != nil {
		t.Fatal(err)
	}
}

func (s *scene) hear(t *testing.T, want ...Event) {
	t.Helper()
	for _, w := range want {
		w.Worker, w.Shard, w.Epoch = "w", "s", 3
		if got := <-s.told; !reflect.DeepEqual(got, w) {
			t.Errorf("told %+v, want %+v", got, w)
		}
	}
}

// What is delivered, applied and filtered is told, and where a shard ends.
func TestCallsAreTold(t *testing.T) {
	s := newScene(t, false)
	s.seal(t)
	s.hear(t, Event{Kind: Seal})
	for _, ns := range [][]uint64{{1}, {1, 2, 3}} {
		if err := s.apply(t.Context(), ns...); err != nil {
			t.Fatal(err)
		}
	}
	s.hear(t, Event{Kind: Deliver, Records: 1}, Event{Kind: Apply, Records: 1, Fresh: 1}, Event{Kind: Deliver, Records: 3}, Event{Kind: Apply, Records: 3, Fresh: 2})
	s.seal(t)
	s.hear(t, Event{Kind: Seal, Ahead: true})
	for _, p := range []checkpoint.Position{checkpoint.Offset(4), checkpoint.End()} {
		m := mark(0)
		m.Position = p
		if err := s.Advance(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	s.hear(t, Event{Kind: End})
}

func TestRefusalsAreTold(t *testing.T) {
	s := newScene(t, false)
	if err := s.apply(t.Context(), 1); !errors.Is(err, dedup.ErrNotSealed) {
		t.Fatalf("got %v", err)
	}
	s.hear(t, Event{Kind: Deliver, Records: 1}, Event{Kind: Refuse, Records: 1, Text: "dedup: the shard is not sealed by this owner: shard s has no seal"})
}

// A call waits at the instant that it was told to, once, and what it was about is done or not, as the instant says.
func TestACallWaitsAtAnInstant(t *testing.T) {
	for _, c := range []struct {
		instant Instant
		applied int // when it waits
	}{{Before, 0}, {Committed, 2}} {
		sink := memdedup.New()
		s := newScene(t, false)
		s.Effects.(*watched[*memdedup.Tx]).Effects = sink
		s.seal(t)
		s.order(t, "arm "+string(c.instant))
		done := make(chan error)
		go func() { done <- s.apply(t.Context(), 1, 2) }()
		for e := range s.told {
			if e.Kind == Reach {
				if e.Instant != c.instant {
					t.Errorf("waits at %q, want %q", e.Instant, c.instant)
				}
				break
			}
		}
		if n, _ := sink.Get("n"); len(n) != c.applied {
			t.Errorf("%s: %d are applied, want %d", c.instant, len(n), c.applied)
		}
		s.order(t, "go "+string(c.instant))
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := s.apply(t.Context(), 3); err != nil { // it does not wait
			t.Error(err)
		}
	}
}

// The instants that are not in a call with records, and the one inside.
func TestInstantsOfOtherCalls(t *testing.T) {
	s := newScene(t, false)
	for _, c := range []struct {
		instant Instant
		call    func(ctx context.Context) error
	}{
		{Sealed, func(ctx context.Context) error { _, err := s.Seal(ctx, mark(0)); return err }},
		{Inside, func(ctx context.Context) error { return s.apply(ctx, 1) }},
		{Advanced, func(ctx context.Context) error { return s.Advance(ctx, mark(1)) }},
	} {
		s.order(t, "arm "+string(c.instant))
		done := make(chan error)
		go func() { done <- c.call(t.Context()) }()
		for e := range s.told {
			if e.Kind == Reach {
				break
			}
		}
		s.order(t, "go "+string(c.instant))
		if err := <-done; err != nil {
			t.Errorf("%s: %v", c.instant, err)
		}
	}
}

// An order that comes too early or is taken back has nobody wait.
func TestAnOrderIsTakenBack(t *testing.T) {
	s := newScene(t, false)
	s.seal(t)
	s.order(t, "go before")
	s.order(t, "arm before")
	s.order(t, "go before")
	if err := s.apply(t.Context(), 1); err != nil {
		t.Error(err)
	}
}

// Without marks everything is applied whenever it comes, and nobody is refused.
func TestUnmarkedEffectsAreRepeated(t *testing.T) {
	s := newScene(t, true)
	for range 2 {
		if err := s.apply(t.Context(), 1, 2); err != nil {
			t.Fatal(err)
		}
		s.hear(t, Event{Kind: Deliver, Records: 2}, Event{Kind: Apply, Records: 2, Fresh: 2})
	}
	m := mark(7)
	if low, err := s.Seal(t.Context(), m); err != nil || low != m.Position {
		t.Errorf("sealed at %s, %v, want where the lease stands", low, err)
	}
	if err := errors.Join(s.Advance(t.Context(), m), s.Bury(t.Context(), []dedup.Mark{m})); err != nil {
		t.Error(err)
	}
}
