package deadletter_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/deadletter/memletters"
)

// sleep waits in the virtual time of a bubble.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

func TestAClaimIsRenewedWhileTheHandlerWorksAndGivenBackAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memletters.New()
		put(t, s, letter("a", 1))
		other := deadletter.Claim{Scope: scope, Key: "a", Token: "other"}
		redrive(t, s, deadletter.Query{}, deadletter.RedriveOptions{}, func(ctx context.Context, _ deadletter.Letter) error {
			for range 100 {
				if err := sleep(ctx, 5*time.Second); err != nil {
					return err
				}
				if err := s.Claim(ctx, other, time.Minute); !errors.Is(err, deadletter.ErrClaimed) {
					t.Errorf("another's Claim during the redrive: %v; want deadletter.ErrClaimed", err)
				}
			}
			return nil
		}, deadletter.Redriven{Done: 1})
		if err := s.Claim(t.Context(), other, time.Minute); err != nil {
			t.Errorf("another's Claim after the redrive: %v", err)
		}
	})
}

func TestARenewalThatFailsOnceIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tapped{Store: memletters.New()}
		put(t, s, letter("a", 1))
		calls := 0
		s.tap = func(_ context.Context, call string, d time.Duration) error {
			if call == "claim" && d > 0 {
				if calls++; calls%2 == 0 {
					return errDown
				}
			}
			return nil
		}
		redrive(t, s, deadletter.Query{}, deadletter.RedriveOptions{Claim: 9 * time.Second}, func(ctx context.Context, _ deadletter.Letter) error {
			return sleep(ctx, time.Minute)
		}, deadletter.Redriven{Done: 1})
	})
}

func TestAClaimThatCannotBeRenewedEndsTheHandlerInTimeAndTheKey(t *testing.T) {
	for _, hangs := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := &tapped{Store: memletters.New()}
			put(t, s, letters("a", 2)...)
			put(t, s, letter("b", 1))
			claims := 0
			s.tap = func(ctx context.Context, call string, d time.Duration) error {
				if call != "claim" || d == 0 {
					return nil
				}
				if claims++; claims == 1 {
					return nil
				}
				if hangs {
					<-ctx.Done()
					return ctx.Err()
				}
				return errDown
			}
			start := time.Now()
			redrive(t, s, deadletter.Query{}, deadletter.RedriveOptions{Claim: 30 * time.Second}, func(ctx context.Context, l deadletter.Letter) error {
				if l.Key == "b" {
					return nil
				}
				err := sleep(ctx, time.Hour)
				if lasted := time.Since(start); lasted > 30*time.Second || lasted < 10*time.Second {
					t.Errorf("the handler's context ended after %v; want no later than the claim", lasted)
				}
				s.set(nil)
				return err
			}, deadletter.Redriven{Done: 1, Lost: []string{"a"}})
			expect(t, s, "a1 a2")
		})
	}
}

func TestAKeyThatAnotherTookIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tapped{Store: memletters.New()}
		park(t, s, letters("a", 2)...)
		put(t, s, letter("b", 1))
		redrive(t, s, deadletter.Query{}, deadletter.RedriveOptions{Claim: 30 * time.Second}, func(ctx context.Context, l deadletter.Letter) error {
			if l.Key == "b" {
				return nil
			}
			s.set(func(_ context.Context, call string, _ time.Duration) error {
				if call == "claim" {
					return deadletter.ErrClaimed
				}
				return nil
			})
			start := time.Now()
			err := sleep(ctx, time.Hour)
			if lasted := time.Since(start); lasted != 10*time.Second {
				t.Errorf("the handler's context ended after %v; want it to end with the first renewal", lasted)
			}
			s.set(nil)
			return err
		}, deadletter.Redriven{Done: 1, Lost: []string{"a"}})
		expect(t, s, "a1 a2", "a")
	})
}

func TestALetterHandledUnderALostClaimIsNotSettled(t *testing.T) {
	s := &tapped{Store: memletters.New()}
	park(t, s, letters("a", 2)...)
	s.tap = func(_ context.Context, call string, _ time.Duration) error {
		if call == "settle" {
			return deadletter.ErrNotClaimed
		}
		return nil
	}
	h := &handler{}
	redrive(t, s, deadletter.Query{}, deadletter.RedriveOptions{}, h.handle, deadletter.Redriven{Lost: []string{"a"}})
	h.saw(t, "a1")
}

func TestALetterThatAnotherSettledLateIsPassed(t *testing.T) {
	s := memletters.New()
	park(t, s, letters("a", 2)...)
	tap := &tapped{Store: s, effect: true}
	settles := 0
	tap.tap = func(_ context.Context, call string, _ time.Duration) error {
		if call == "settle" {
			if settles++; settles == 1 {
				return deadletter.ErrNoLetter
			}
		}
		return nil
	}
	h := &handler{}
	redrive(t, tap, deadletter.Query{}, deadletter.RedriveOptions{}, h.handle, deadletter.Redriven{Done: 1})
	h.saw(t, "a1 a2")
}
