package ddblease

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/lease"
)

// Hazard 22: a throttled store.
func TestHazard22AThrottledRequestIsRetriedAfterAWait(t *testing.T) {
	for _, code := range []string{"ThrottlingException", "ProvisionedThroughputExceededException", "RequestLimitExceeded"} {
		t.Run(code, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, sent := storeOn(in(reply{code: code}, reply{code: code}, reply{}), nil)
				begun := time.Now()
				if errs := s.Put(t.Context(), []lease.Row{row(7)}); errs != nil {
					t.Fatal(errs)
				}
				if len(sent.ops()) != 3 || time.Since(begun) == 0 {
					t.Fatalf("sent %v in %v; want three requests and waits between", sent.ops(), time.Since(begun))
				}
			})
		})
	}
}

// What the package says of the SDK's default retryer: the first wait is up to 2 s, the second up to 4 s, and there is no third.
func TestHazard22TheDefaultRetryerWaitsForSeconds(t *testing.T) {
	throttled := reply{code: "ProvisionedThroughputExceededException"}
	for retries, limit := range []time.Duration{0, 2 * time.Second, 6 * time.Second} {
		var longest time.Duration
		for range 50 {
			synctest.Test(t, func(t *testing.T) {
				s, sent := storeOn(in(append(slices.Repeat([]reply{throttled}, retries), reply{})...), nil)
				begun := time.Now()
				if errs := s.Put(t.Context(), []lease.Row{row(7)}); errs != nil || len(sent.ops()) != retries+1 {
					t.Errorf("%v after %d sendings; want it written by the one that is not throttled", errs, len(sent.ops()))
				}
				longest = max(longest, time.Since(begun))
			})
		}
		if longest > limit || longest < limit/2 {
			t.Errorf("%d retries take up to %v; want up to %v", retries, longest, limit)
		}
	}
}

func TestHazard22TheDefaultRetryerStopsToRetryAfterAHundred(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, sent := storeOn(in(reply{code: "ProvisionedThroughputExceededException"}), nil)
		for range 50 {
			if errs := s.Put(t.Context(), []lease.Row{row(7)}); len(errs) != 1 || errors.Is(errs[0], lease.ErrConflict) {
				t.Fatalf("%v; want an error that is no conflict", errs)
			}
		}
		if n := len(sent.ops()); n != 150 {
			t.Fatalf("%d sendings of 50 calls; want three of each", n)
		}
		begun := time.Now()
		if errs := s.Put(t.Context(), []lease.Row{row(7)}); errs == nil || time.Since(begun) != 0 || len(sent.ops()) != 151 {
			t.Errorf("%v after %v and %d sendings; want an error at once", errs, time.Since(begun), len(sent.ops())-150)
		}
	})
}

func TestHazard22AThrottledStoreKeepsTheDeadline(t *testing.T) {
	throttled := reply{code: "ThrottlingException"}
	unprocessed := reply{body: `{"UnprocessedKeys":{"leases":{"Keys":[{"g":{"S":"a/"},"k":{"S":"row"}}]}}}`}
	for name, c := range map[string]struct {
		answer reply
		call   func(context.Context, *Store) error
	}{
		"Setup":                        {throttled, func(ctx context.Context, s *Store) error { return s.Setup(ctx) }},
		"Get":                          {throttled, func(ctx context.Context, s *Store) error { _, err := s.Get(ctx, []string{"a/row"}); return err }},
		"Get of keys left unprocessed": {unprocessed, func(ctx context.Context, s *Store) error { _, err := s.Get(ctx, []string{"a/row"}); return err }},
		"List":                         {throttled, func(ctx context.Context, s *Store) error { return last(s.List(ctx, "a/", "")) }},
		"Put": {throttled, func(ctx context.Context, s *Store) error {
			return errors.Join(s.Put(ctx, []lease.Row{row(7), row(8)})...)
		}},
		"Delete": {throttled, func(ctx context.Context, s *Store) error { return errors.Join(s.Delete(ctx, []lease.Row{row(7)})...) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dead := errors.New("validity ends")
				ctx, cancel := context.WithTimeoutCause(t.Context(), 2*time.Second, dead)
				defer cancel()
				s, _ := storeOn(in(c.answer), nil)
				begun := time.Now()
				err := dead
				for err != nil && ctx.Err() == nil { // the client gives up after three requests: its caller calls again
					err = c.call(ctx, s)
				}
				if took := time.Since(begun); took != 2*time.Second {
					t.Errorf("took %v; want to end with its context, after 2s", took)
				}
				if !errors.Is(err, dead) || errors.Is(err, lease.ErrConflict) || errors.Is(err, lease.ErrTable) {
					t.Errorf("%v; want the cause of the context's end", err)
				}
			})
		})
	}
}
