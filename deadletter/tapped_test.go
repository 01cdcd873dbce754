package deadletter_test

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/runnelhq/runnel/deadletter"
)

// tapped is a store that tells of each call before it is made, by the name of its method and its claim's time. An error of tap is the call's, with or without its effect.
type tapped struct {
	deadletter.Store
	mu      sync.Mutex
	tap     func(ctx context.Context, call string, d time.Duration) error
	effect  bool
	queries []deadletter.Query
}

func (s *tapped) set(tap func(context.Context, string, time.Duration) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tap = tap
}

func (s *tapped) do(ctx context.Context, call string, d time.Duration, f func() error) error {
	s.mu.Lock()
	tap := s.tap
	s.mu.Unlock()
	if tap == nil {
		return f()
	}
	if err := tap(ctx, call, d); err != nil {
		if s.effect {
			_ = f()
		}
		return err
	}
	return f()
}

func (s *tapped) Claim(ctx context.Context, c deadletter.Claim, d time.Duration) error {
	return s.do(ctx, "claim", d, func() error { return s.Store.Claim(ctx, c, d) })
}

func (s *tapped) Settle(ctx context.Context, c deadletter.Claim, id string, f *deadletter.Failure) error {
	return s.do(ctx, "settle", 0, func() error { return s.Store.Settle(ctx, c, id, f) })
}

func (s *tapped) Read(ctx context.Context, q deadletter.Query) iter.Seq2[deadletter.Letter, error] {
	s.queries = append(s.queries, q)
	return func(yield func(deadletter.Letter, error) bool) {
		if err := s.do(ctx, "read", 0, func() error { return nil }); err != nil {
			yield(deadletter.Letter{}, err)
			return
		}
		s.Store.Read(ctx, q)(yield)
	}
}

func (s *tapped) Parked(ctx context.Context, scope deadletter.Scope) iter.Seq2[deadletter.Parking, error] {
	return func(yield func(deadletter.Parking, error) bool) {
		if err := s.do(ctx, "parked", 0, func() error { return nil }); err != nil {
			yield(deadletter.Parking{}, err)
			return
		}
		s.Store.Parked(ctx, scope)(yield)
	}
}
