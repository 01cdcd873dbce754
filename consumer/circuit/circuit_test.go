package circuit_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"pgregory.net/rapid"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/circuit"
	"github.com/runnelhq/runnel/lease"
)

var errGone = errors.New("the index is gone")

const delay = 30 * time.Second

func TestAFailureOpensAndASuccessfulProbeCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := circuit.New(circuitbreaker.NewBuilder[any]().WithDelay(delay).Build())
		granted(t, b)
		b.Record(errGone)
		refused(t, b, delay)
		open(t, b, true)

		pause(20 * time.Second)
		refused(t, b, 10*time.Second)
		open(t, b, true)

		pause(10 * time.Second)
		open(t, b, false) // a probe may be made, so there must be a record for it
		granted(t, b)
		open(t, b, true) // until the probe has ended
		refused(t, b, 100*time.Millisecond)

		b.Record(nil)
		open(t, b, false)
		granted(t, b)
	})
}

func TestAFailedProbeOpensAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpen(t, circuitbreaker.NewBuilder[any]())
		granted(t, b)
		b.Record(errGone)
		refused(t, b, delay)
		open(t, b, true)
		pause(delay)
		open(t, b, false)
		granted(t, b)
	})
}

func TestAsManyProbesAsTheBreakerAllows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpen(t, circuitbreaker.NewBuilder[any]().WithSuccessThreshold(2))
		granted(t, b)
		granted(t, b)
		refused(t, b, 100*time.Millisecond)
		b.Record(nil)
		open(t, b, true) // one is still on its way
		b.Record(nil)
		open(t, b, false)
		granted(t, b)

		b = halfOpen(t, circuitbreaker.NewBuilder[any]().WithSuccessThreshold(2))
		granted(t, b)
		b.Record(nil)
		open(t, b, false) // the second probe may need a record to be read
		granted(t, b)
		b.Record(nil)
		open(t, b, false)
	})
}

func TestTheBreakersConditionsSayWhatCounts(t *testing.T) {
	for name, c := range map[string]struct {
		built circuitbreaker.Builder[any]
		err   error
		opens bool
	}{
		"any error":                 {circuitbreaker.NewBuilder[any](), errors.New("bad record"), true},
		"no error":                  {circuitbreaker.NewBuilder[any](), nil, false},
		"a listed error":            {circuitbreaker.NewBuilder[any]().HandleErrors(errGone), fmt.Errorf("index: %w", errGone), true},
		"an error not listed":       {circuitbreaker.NewBuilder[any]().HandleErrors(errGone), errors.New("bad record"), false},
		"a condition":               {circuitbreaker.NewBuilder[any]().HandleIf(func(_ any, err error) bool { return !errors.Is(err, errGone) }), errors.New("bad record"), true},
		"a condition that is false": {circuitbreaker.NewBuilder[any]().HandleIf(func(_ any, err error) bool { return !errors.Is(err, errGone) }), errGone, false},
		"no error, for a condition that forgets it": {circuitbreaker.NewBuilder[any]().HandleIf(func(_ any, err error) bool { return !errors.Is(err, errGone) }), nil, false},
		"a deadline": {circuitbreaker.NewBuilder[any](), context.DeadlineExceeded, true},
		"a watchdog": {circuitbreaker.NewBuilder[any](), consumer.ErrStuck, true},
	} {
		t.Run(name, func(t *testing.T) {
			b := circuit.New(c.built.Build())
			granted(t, b)
			b.Record(c.err)
			open(t, b, c.opens)
		})
	}
}

var givenUp = map[string]error{
	"cancelled":   context.Canceled,
	"by the call": fmt.Errorf("index: %w", context.Canceled),
	"drained":     consumer.ErrDrain,
	"lost":        fmt.Errorf("%w: taken by another", lease.ErrLost),
}

func TestACallGivenUpDoesNotOpen(t *testing.T) {
	for name, err := range givenUp {
		t.Run(name, func(t *testing.T) {
			cb := circuitbreaker.NewWithDefaults[any]()
			b := circuit.New(cb)
			granted(t, b)
			b.Record(err)
			open(t, b, false)
			if n := cb.Metrics().Executions(); n != 0 {
				t.Errorf("%d calls count, want none", n)
			}
		})
	}
}

func TestAProbeGivenUpNeitherClosesNorKeepsItsPermit(t *testing.T) {
	for name, err := range givenUp {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := halfOpen(t, circuitbreaker.NewBuilder[any]().HandleErrors(errGone)) // for which it is no failure, thus a success
				granted(t, b)
				b.Record(err)
				refused(t, b, delay)
				pause(delay)
				open(t, b, false)
				granted(t, b)
				b.Record(nil)
				open(t, b, false)

				b = halfOpen(t, circuitbreaker.NewBuilder[any]().WithSuccessThresholdRatio(1, 2)) // which one failure does not open
				granted(t, b)
				granted(t, b)
				b.Record(err)
				granted(t, b)
			})
		})
	}
}

func TestProbesAreCountedAnewInEachState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpen(t, circuitbreaker.NewBuilder[any]().WithSuccessThreshold(2))
		granted(t, b)
		granted(t, b)
		b.Record(errGone) // opens the breaker with a probe on its way
		b.Record(nil)
		pause(delay)
		granted(t, b)
		open(t, b, true)
		b.Record(nil)
		open(t, b, false) // no probe is on its way
	})
}

func TestCallsOfAClosedBreakerThatEndLateHideNoLaterProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := circuit.New(circuitbreaker.NewBuilder[any]().WithSuccessThreshold(5).WithDelay(delay).Build())
		for range 3 {
			granted(t, b)
		}
		b.Record(errGone)
		pause(delay)
		granted(t, b)
		b.Record(nil) // each of the two that were granted before the breaker opened, or the probe
		b.Record(nil)
		granted(t, b)
		open(t, b, true)
	})
}

func TestListenersMayCallTheBreaker(t *testing.T) {
	var b consumer.Breaker
	heard := 0
	b = circuit.New(circuitbreaker.NewBuilder[any]().OnStateChanged(func(circuitbreaker.StateChangedEvent) {
		heard++
		b.Open()
	}).WithDelay(0).Build())
	granted(t, b)
	b.Record(errGone)
	granted(t, b)
	b.Record(nil)
	if heard < 3 {
		t.Errorf("the listener was called %d times, want opened, half-open and closed", heard)
	}
}

func TestABreakerOfResultsServesToo(t *testing.T) {
	b := circuit.New(circuitbreaker.NewWithDefaults[int]())
	granted(t, b)
	b.Record(errGone)
	open(t, b, true)
}

// TestTheConsumerNeverWaitsForEver is what Open and Permit are for: whatever happened, once every granted call was recorded and the delay is over, the consumer may read, gets a permit, and successes close the breaker.
func TestTheConsumerNeverWaitsForEver(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		built := circuitbreaker.NewBuilder[any]().WithDelay(delay).HandleErrors(errGone)
		rapid.OneOf(
			rapid.Just(func() { built.WithFailureThreshold(2) }),
			rapid.Just(func() { built.WithFailureThresholdRatio(2, 3).WithSuccessThreshold(2) }),
			rapid.Just(func() { built.WithFailureThreshold(1).WithSuccessThresholdRatio(2, 3) }),
			rapid.Just(func() { built.WithFailureRateThreshold(0.5, 3, time.Minute) }),
		).Draw(rt, "thresholds")()
		acts := rapid.SliceOfN(rapid.SampledFrom([]string{"ask", "ask", "succeed", "fail", "bad record", "give up", "wait", "open by hand", "close by hand"}), 1, 60).Draw(rt, "acts")
		fault := ""
		synctest.Test(t, func(*testing.T) { fault = play(built.Build(), acts) })
		if fault != "" {
			rt.Fatal(fault)
		}
	})
}

// play performs the acts on a breaker, ends what they left, and names what does not hold.
func play(cb circuitbreaker.CircuitBreaker[any], acts []string) string {
	b, calls := circuit.New(cb), 0
	ends := map[string]error{"succeed": nil, "fail": errGone, "bad record": errors.New("bad record"), "give up": context.Canceled}
	for i, act := range acts {
		err, ends := ends[act]
		switch {
		case ends && calls > 0:
			calls--
			b.Record(err)
		case act == "ask":
			stopped := b.Open()
			switch wait := b.Permit(); {
			case wait == 0:
				calls++
			case wait < 0 || wait > delay:
				return fmt.Sprintf("act %d: told to wait for %v", i, wait)
			case !stopped && calls == 0:
				return fmt.Sprintf("act %d: refused though it is not open and no call is on its way", i)
			}
		case act == "wait":
			pause(delay / 2)
		case act == "open by hand":
			cb.Open()
		case act == "close by hand":
			cb.Close()
		}
		if b.Open() && cb.IsHalfOpen() && calls == 0 {
			return fmt.Sprintf("act %d, %s: waits for a probe that nobody makes", i, act)
		}
	}
	for ; calls > 0; calls-- {
		b.Record(context.Canceled)
	}
	for range 10 {
		pause(delay)
		if b.Open() {
			return "open, with no call on its way and the delay over"
		}
		if wait := b.Permit(); wait != 0 {
			return fmt.Sprintf("told to wait for %v, with no call on its way and the delay over", wait)
		}
		b.Record(nil) // may open a closed breaker, as the call that makes a rate of failures count
	}
	if !cb.IsClosed() {
		return "not closed after ten successes"
	}
	return ""
}

// halfOpen is a breaker that was opened, and whose delay is over.
func halfOpen(t *testing.T, built circuitbreaker.Builder[any]) consumer.Breaker {
	t.Helper()
	cb := built.WithDelay(delay).Build()
	b := circuit.New(cb)
	cb.Open()
	refused(t, b, delay)
	pause(delay)
	return b
}

func granted(t *testing.T, b consumer.Breaker) {
	t.Helper()
	if wait := b.Permit(); wait != 0 {
		t.Fatalf("told to wait for %v, want a permit", wait)
	}
}

func refused(t *testing.T, b consumer.Breaker, want time.Duration) {
	t.Helper()
	if wait := b.Permit(); wait != want {
		t.Fatalf("told to wait for %v, want %v", wait, want)
	}
}

func open(t *testing.T, b consumer.Breaker, want bool) {
	t.Helper()
	if b.Open() != want {
		t.Fatalf("open is %v, want %v", !want, want)
	}
}

// pause lets virtual time pass.
func pause(d time.Duration) { <-time.After(d) }
