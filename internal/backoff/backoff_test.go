package backoff_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/internal/backoff"
)

func TestCeilingDoublesUpToTheCap(t *testing.T) {
	p := backoff.Policy{Base: 100 * time.Millisecond, Cap: time.Second}
	for n, want := range map[int]time.Duration{
		1: 100 * time.Millisecond, 2: 200 * time.Millisecond, 4: 800 * time.Millisecond, 5: time.Second, 1 << 30: time.Second,
	} {
		if got := p.Ceiling(n); got != want {
			t.Errorf("after failure %d: at most %v, want %v", n, got, want)
		}
	}
}

func TestDelaySpreadsOverItsWholeRange(t *testing.T) {
	p := backoff.Policy{Base: time.Second, Cap: time.Minute}
	var low, high bool
	for range 1000 {
		d := p.Delay(3)
		if d < 0 || d > 4*time.Second {
			t.Fatalf("waits %v, want 0 to 4s", d)
		}
		low, high = low || d < time.Second, high || d > 3*time.Second
	}
	if !low || !high {
		t.Errorf("1000 delays: one in the first quarter: %v, one in the last: %v", low, high)
	}
}

func TestWaitEndsWithItsContextAndSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		if err := backoff.Wait(t.Context(), time.Minute); err != nil || time.Since(begun) != time.Minute {
			t.Errorf("waited %v, %v", time.Since(begun), err)
		}
		why := errors.New("why")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(why) })
		begun = time.Now()
		if err := backoff.Wait(ctx, time.Hour); !errors.Is(err, why) || time.Since(begun) != time.Second {
			t.Errorf("waited %v, %v", time.Since(begun), err)
		}
		if err := backoff.Wait(ctx, 0); !errors.Is(err, why) {
			t.Errorf("no wait under an ended context: %v", err)
		}
	})
}
