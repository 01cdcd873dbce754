package sqlletters_test

import (
	"context"
	"iter"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/deadletter/letterstest"
)

func TestStoreConforms(t *testing.T) {
	t.Parallel()
	t.Run("one pool", func(t *testing.T) {
		t.Parallel()
		letterstest.Run(t, func(t *testing.T) deadletter.Store { s, _ := newStore(t, newFile(t)); return s })
	})
	// As several processes have them; calls go to each in turn.
	t.Run("several pools", func(t *testing.T) {
		t.Parallel()
		letterstest.Run(t, func(t *testing.T) deadletter.Store {
			file := newFile(t)
			s := &inTurn{}
			for range 3 {
				store, _ := newStore(t, file)
				s.stores = append(s.stores, store)
			}
			return s
		})
	})
}

// inTurn is stores of the same letters, of which each call goes to the next.
type inTurn struct {
	stores []deadletter.Store
	n      atomic.Uint64
}

func (s *inTurn) next() deadletter.Store { return s.stores[s.n.Add(1)%uint64(len(s.stores))] }

func (s *inTurn) Put(ctx context.Context, ls []deadletter.Letter) error { return s.next().Put(ctx, ls) }

func (s *inTurn) Park(ctx context.Context, ls []deadletter.Letter, open bool) error {
	return s.next().Park(ctx, ls, open)
}

func (s *inTurn) Parked(ctx context.Context, scope deadletter.Scope) iter.Seq2[deadletter.Parking, error] {
	return s.next().Parked(ctx, scope)
}

func (s *inTurn) Read(ctx context.Context, q deadletter.Query) iter.Seq2[deadletter.Letter, error] {
	return s.next().Read(ctx, q)
}

func (s *inTurn) Claim(ctx context.Context, c deadletter.Claim, d time.Duration) error {
	return s.next().Claim(ctx, c, d)
}

func (s *inTurn) Settle(ctx context.Context, c deadletter.Claim, id string, failed *deadletter.Failure) error {
	return s.next().Settle(ctx, c, id, failed)
}
