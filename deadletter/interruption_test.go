package deadletter_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/deadletter/memletters"
)

// world is what an interrupted redrive and the next one see.
type world struct {
	*tapped
	handler
	t *testing.T
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, tapped: &tapped{Store: memletters.New()}}
	park(t, w.Store, letters("a", 3)...)
	put(t, w.Store, letters("b", 2)...)
	park(t, w.Store, letters("c", 2)...)
	return w
}

// recover has another redrive do the rest, and wants every letter handled, in order inside a key but for what is repeated, and repeats of one letter only.
func (w *world) recover(what string) {
	w.t.Helper()
	w.tap = nil
	got, err := deadletter.Redrive(w.t.Context(), w.Store, deadletter.Query{Scope: scope}, deadletter.RedriveOptions{}, w.handle)
	if err != nil || len(got.Claimed)+len(got.Lost)+got.Failed > 0 {
		w.t.Errorf("%s: the next redrive says %+v, %v; want every claim given back", what, got, err)
	}
	expect(w.t, w.Store, "")
	if got := strings.Join(slices.Compact(slices.Clone(w.seen)), " "); got != "a1 a2 a3 b1 b2 c1 c2" {
		w.t.Errorf("%s: the handler was given %q; want every letter in order, one perhaps twice", what, w.seen)
	}
	if len(w.seen) > 8 {
		w.t.Errorf("%s: the handler was given %q; want one letter twice at most", what, w.seen)
	}
}

func TestARedriveMayBeInterruptedAtEachStep(t *testing.T) {
	interrupted := 0
	for step := 0; ; step++ {
		w := newWorld(t)
		ctx, cancel := context.WithCancel(t.Context())
		calls := 0
		at := ""
		w.tap = func(ctx context.Context, call string, d time.Duration) error {
			if calls++; calls == step+1 {
				at = fmt.Sprintf("interrupted at call %d, %s for %v", step, call, d)
				cancel()
			}
			return ctx.Err() // as a store on a network does
		}
		_, err := deadletter.Redrive(ctx, w, deadletter.Query{Scope: scope}, deadletter.RedriveOptions{}, w.handle)
		cancel()
		if at == "" {
			break
		}
		interrupted++
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", at, err)
		}
		w.recover(at)
		if len(w.seen) != 7 {
			t.Errorf("%s: the handler was given %q; want each letter once, for a redrive that is told to end settles what it handled", at, w.seen)
		}
	}
	if interrupted < 20 {
		t.Errorf("only %d steps were interrupted", interrupted)
	}
}

func TestARedriveMayFailAtEachStep(t *testing.T) {
	for _, effect := range []bool{false, true} {
		for step := 0; ; step++ {
			w := newWorld(t)
			w.effect = effect
			calls, at := 0, ""
			w.tap = func(_ context.Context, call string, d time.Duration) error {
				if calls++; calls == step+1 && (call != "claim" || d > 0) {
					at = fmt.Sprintf("failed at call %d, %s, with its effect %t", step, call, effect)
					return errDown
				}
				return nil
			}
			_, err := deadletter.Redrive(t.Context(), w, deadletter.Query{Scope: scope}, deadletter.RedriveOptions{}, w.handle)
			if step >= calls {
				break
			}
			if at == "" { // the claim was given back
				continue
			}
			if !errors.Is(err, errDown) {
				t.Errorf("%s: Redrive says %v; want the store's error", at, err)
			}
			w.recover(at)
		}
	}
}

func TestWhatIsHandledWhileTheRedriveEndsIsSettled(t *testing.T) {
	s := memletters.New()
	park(t, s, letters("a", 2)...)
	ctx, cancel := context.WithCancel(t.Context())
	got, err := deadletter.Redrive(ctx, s, deadletter.Query{Scope: scope}, deadletter.RedriveOptions{}, func(context.Context, deadletter.Letter) error {
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) || got.Done != 1 {
		t.Errorf("Redrive says %+v, %v; want one letter done", got, err)
	}
	expect(t, s, "a2", "a")
}

func TestAFailureAfterTheEndIsNotPutDownToTheLetter(t *testing.T) {
	s := memletters.New()
	park(t, s, letters("a", 2)...)
	ctx, cancel := context.WithCancel(t.Context())
	got, err := deadletter.Redrive(ctx, s, deadletter.Query{Scope: scope}, deadletter.RedriveOptions{}, func(ctx context.Context, _ deadletter.Letter) error {
		cancel()
		return ctx.Err()
	})
	if !errors.Is(err, context.Canceled) || got.Failed != 0 {
		t.Errorf("Redrive says %+v, %v; want no failure", got, err)
	}
	for l, err := range s.Read(t.Context(), deadletter.Query{Scope: scope}) {
		if err != nil || l.History != nil {
			t.Errorf("the history is %+v; want none", l.History)
		}
	}
}
