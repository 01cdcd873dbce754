package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
	"pgregory.net/rapid"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/ratelimit"
)

func TestABatchWaitsUntilAllOfItIsPaid(t *testing.T) {
	for _, c := range []struct {
		name    string
		limiter func(*rate.Limiter) consumer.Limiter
		burst   int
		calls   []int
		want    time.Duration // at 10 a second
	}{
		{"within the burst", ratelimit.Records, 10, []int{10}, 0},
		{"one over the burst", ratelimit.Records, 10, []int{11}, 100 * time.Millisecond},
		{"one portion", ratelimit.Records, 10, []int{10, 5}, 500 * time.Millisecond},
		{"two portions", ratelimit.Records, 10, []int{20}, time.Second},
		{"portions and a rest", ratelimit.Records, 10, []int{10, 25}, 2500 * time.Millisecond},
		{"a burst of one", ratelimit.Records, 1, []int{100}, 9900 * time.Millisecond},
		{"no records", ratelimit.Records, 10, []int{10, 0}, 0},
		{"calls, whatever is in them", ratelimit.Calls, 1, []int{1000, 1, 0}, 200 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				limiter, start := c.limiter(rate.NewLimiter(10, c.burst)), time.Now()
				for _, n := range c.calls {
					if err := limiter.Wait(t.Context(), n); err != nil {
						t.Fatal(err)
					}
				}
				if took := time.Since(start); !near(took, c.want) {
					t.Errorf("took %v, want %v", took, c.want)
				}
			})
		})
	}
}

// TestEveryCallGoesWhenABucketAllowsIt compares with a bucket that may be overdrawn: it is filled up to the burst while nobody waits, and a call goes when it is no longer in debt.
func TestEveryCallGoesWhenABucketAllowsIt(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		perSecond := rapid.Float64Range(0.5, 2000).Draw(rt, "limit")
		burst := rapid.IntRange(1, 300).Draw(rt, "burst")
		calls := rapid.SliceOfN(rapid.IntRange(0, 2000), 1, 30).Draw(rt, "records")
		pauses := rapid.SliceOfN(rapid.IntRange(0, 5000), len(calls), len(calls)).Draw(rt, "pauses in ms")
		fault := ""
		synctest.Test(t, func(t *testing.T) { fault = late(t.Context(), perSecond, burst, calls, pauses) })
		if fault != "" { // said here: rapid knows only the goroutine that it started
			rt.Fatal(fault)
		}
	})
}

// late makes the calls, each after its pause in milliseconds, and names the first that went at another instant than the overdrawn bucket says.
func late(ctx context.Context, perSecond float64, burst int, calls, pauses []int) string {
	limiter, start := ratelimit.Records(rate.NewLimiter(rate.Limit(perSecond), burst)), time.Now()
	left, at := float64(burst), 0.0
	for i, n := range calls {
		pause(time.Duration(pauses[i]) * time.Millisecond)
		now := time.Since(start).Seconds()
		left, at = min(float64(burst), left+(now-at)*perSecond)-float64(n), now
		if err := limiter.Wait(ctx, n); err != nil {
			return err.Error()
		}
		due := now + max(0, -left)/perSecond
		if went := time.Since(start).Seconds(); math.Abs(went-due) > 1e-6 {
			return fmt.Sprintf("call %d of %d records at %vs went at %vs, want %vs", i, n, now, went, due)
		}
	}
	return ""
}

func TestBatchesOfManyWorkersGoOneAfterTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limiter, start := ratelimit.Records(rate.NewLimiter(10, 10)), time.Now()
		went := make([]time.Duration, 4)
		var all sync.WaitGroup
		for i := range went {
			all.Go(func() {
				if err := limiter.Wait(t.Context(), 50); err != nil {
					t.Error(err)
				}
				went[i] = time.Since(start)
			})
			synctest.Wait() // all at one instant, in this order
		}
		all.Wait()
		for i, d := range went {
			if want := time.Duration(4+5*i) * time.Second; !near(d, want) {
				t.Errorf("batch %d went after %v, want %v", i, d, want)
			}
		}
	})
}

func TestWhatWasPaidIsGivenBackWhenTheContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := rate.NewLimiter(10, 10)
		limiter := ratelimit.Records(bucket)
		if err := limiter.Wait(t.Context(), 10); err != nil {
			t.Fatal(err)
		}
		stop := errors.New("stopped")
		ctx, end := context.WithCancelCause(t.Context())
		waited := make(chan error)
		go func() { waited <- limiter.Wait(ctx, 55) }()
		synctest.Wait()
		end(stop)
		if err := <-waited; !errors.Is(err, stop) {
			t.Fatalf("got %v, want the cause", err)
		}
		if left := bucket.Tokens(); math.Abs(left) > 1e-6 {
			t.Errorf("the bucket holds %v, want 0", left)
		}
	})
}

func TestAWaitBeyondTheDeadlineIsRefusedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket, start := rate.NewLimiter(10, 10), time.Now()
		ctx, end := context.WithTimeout(t.Context(), time.Second)
		defer end()
		if err := ratelimit.Records(bucket).Wait(ctx, 21); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want DeadlineExceeded", err)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("took %v, want no time", took)
		}
		if left := bucket.Tokens(); math.Abs(left-10) > 1e-6 {
			t.Errorf("the bucket holds %v, want 10", left)
		}
	})
}

func TestAnEndedContextPaysNothing(t *testing.T) {
	stop := errors.New("stopped")
	ctx, end := context.WithCancelCause(t.Context())
	end(stop)
	for name, bucket := range map[string]*rate.Limiter{"limit": rate.NewLimiter(rate.Every(time.Hour), 10), "no limit": rate.NewLimiter(rate.Inf, 10)} {
		if err := ratelimit.Records(bucket).Wait(ctx, 1); !errors.Is(err, stop) {
			t.Errorf("%s: got %v, want the cause", name, err)
		}
		if left := bucket.Tokens(); left < 10 {
			t.Errorf("%s: the bucket holds %v, want 10", name, left)
		}
	}
}

// TestABurstThatIsMadeSmallerMeanwhilePaysNothing tries until the burst changes between two of the portions of one batch.
func TestABurstThatIsMadeSmallerMeanwhilePaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 1000 {
			bucket := rate.NewLimiter(10, 10)
			ctx, end := context.WithTimeout(t.Context(), time.Hour)
			begin, changed := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(changed)
				<-begin
				bucket.SetBurst(9)
			}()
			close(begin)
			err := ratelimit.Records(bucket).Wait(ctx, 200_000)
			<-changed
			end()
			if err == nil {
				t.Fatal("a batch that takes five hours was let through in one")
			}
			if errors.Is(err, context.DeadlineExceeded) {
				continue // it changed before the first portion, or after the last
			}
			if left := bucket.Tokens(); left < 0 {
				t.Errorf("the bucket holds %v, want what it held", left)
			}
			return
		}
		t.Error("the burst never changed between two portions")
	})
}

func TestInfLetsEverythingThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if err := ratelimit.Records(rate.NewLimiter(rate.Inf, 0)).Wait(t.Context(), 1_000_000); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("took %v, want no time", took)
		}
	})
}

func TestWhatCanNeverBeIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if err := ratelimit.Calls(rate.NewLimiter(10, 0)).Wait(t.Context(), 1); err == nil {
			t.Error("a burst of 0 let a call through")
		}
		bucket := rate.NewLimiter(0, 2)
		limiter := ratelimit.Records(bucket)
		if err := limiter.Wait(t.Context(), 2); err != nil {
			t.Errorf("what the bucket held was refused: %v", err)
		}
		if err := limiter.Wait(t.Context(), 1); err == nil {
			t.Error("a limit of 0 let a record through")
		}
		bucket.SetLimit(10)
		if err := limiter.Wait(t.Context(), 1); err != nil {
			t.Errorf("after the limit was raised: %v", err)
		}
		if took := time.Since(start); !near(took, 100*time.Millisecond) {
			t.Errorf("took %v, want 100ms", took)
		}
	})
}

// near allows for the rounding of tokens, which are floats, to nanoseconds.
func near(got, want time.Duration) bool { return (got - want).Abs() <= time.Microsecond }

// pause lets virtual time pass.
func pause(d time.Duration) { <-time.After(d) }
