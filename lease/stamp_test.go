package lease_test

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/lease"
)

// stamped is a store whose cursors are instants: it remembers from where each group was listed last.
type stamped struct {
	lease.Store

	mu    sync.Mutex
	after map[string]string
}

func (s *stamped) Stamp() string { return fmt.Sprintf("t%020d", time.Now().UnixNano()) }

func (s *stamped) List(ctx context.Context, group, after string) iter.Seq2[lease.Row, error] {
	s.mu.Lock()
	s.after[group] = after
	s.mu.Unlock()
	return s.Store.List(ctx, group, after)
}

// A listing by cursor goes on from the last listing, and not from the last change: such a store reaches back from there, and would yield again, for ever, what changed last.
func TestListingsByCursorGoOnFromTheLastListing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ids(4)...)
		defer f.close()
		var s *stamped
		f.config = func(cfg *lease.Config) {
			s = &stamped{Store: cfg.Store, after: make(map[string]string)}
			cfg.Store = s
		}
		w := f.join()
		f.until("work on all", func() bool { return len(w.shards()) == 4 })
		f.watch(20 * time.Second)
		oldest := fmt.Sprintf("t%020d", time.Now().Add(-5*time.Second).UnixNano())
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, group := range []string{"orders/S/one/", "orders/M/"} {
			if after := s.after[group]; after < oldest {
				t.Errorf("%s was listed last from %q, want from the listing before, two polls ago at most, %q", group, after, oldest)
			}
		}
	})
}
