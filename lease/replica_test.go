package lease_test

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"testing"

	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/memlease"
)

// replica is a store that may fail over to a replica which has not heard of the last writes. It writes one row at a time.
type replica struct {
	*memlease.Store

	mu      sync.Mutex
	history int
	past    []func(*memlease.Store) // every write that was applied, in their order
	asked   int
	down    error    // why it does not tell its history
	keys    []string // of the writes
	// answered is called when a read was done, before it is answered.
	answered func(keys []string)
}

func newReplica() *replica { return &replica{Store: memlease.New(), history: 1} }

func (s *replica) History(context.Context, []string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	return fmt.Sprint("history ", s.history), s.down
}

func (s *replica) now() *memlease.Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Store
}

func (s *replica) Setup(ctx context.Context) error { return s.now().Setup(ctx) }

func (s *replica) Get(ctx context.Context, keys []string) ([]lease.Row, error) {
	rows, err := s.now().Get(ctx, keys)
	s.mu.Lock()
	answered := s.answered
	s.mu.Unlock()
	if answered != nil && len(keys) > 0 {
		answered(keys)
	}
	return rows, err
}

func (s *replica) List(ctx context.Context, group, after string) iter.Seq2[lease.Row, error] {
	return s.now().List(ctx, group, after)
}

func (s *replica) Put(ctx context.Context, rows []lease.Row) []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	errs := s.Store.Put(ctx, rows)
	s.note(rows, errs, func(m *memlease.Store, row lease.Row) { m.Put(context.Background(), []lease.Row{row}) })
	return errs
}

func (s *replica) Delete(ctx context.Context, rows []lease.Row) []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	errs := s.Store.Delete(ctx, rows)
	s.note(rows, errs, func(m *memlease.Store, row lease.Row) { m.Delete(context.Background(), []lease.Row{row}) })
	return errs
}

func (s *replica) note(rows []lease.Row, errs []error, again func(*memlease.Store, lease.Row)) {
	for i, row := range rows {
		if errs == nil || errs[i] == nil {
			s.past = append(s.past, func(m *memlease.Store) { again(m, row) })
			s.keys = append(s.keys, row.Key)
		}
	}
}

// writes is how many there were.
func (s *replica) writes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.past)
}

// last is the key of the last write.
func (s *replica) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys[len(s.keys)-1]
}

// failOver forgets all writes but the first n.
func (s *replica) failOver(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.past, s.keys = s.past[:n], s.keys[:n]
	s.history++
	fresh := memlease.New()
	for _, write := range s.past {
		write(fresh)
	}
	s.Store = fresh
}

// newForgetfulFleet is a fleet over a replica. No audit: what is forgotten breaks its rules.
func newForgetfulFleet(t *testing.T, shards ...string) (*fleet, *replica) {
	t.Helper()
	f, r := newFleet(t, shards...), newReplica()
	f.config = func(c *lease.Config) {
		w := c.Store.(*wire)
		w.store = r
		c.Store = historian{w, r}
	}
	return f, r
}

// historian is a wire that tells its store's history.
type historian struct {
	*wire
	r *replica
}

func (h historian) History(ctx context.Context, groups []string) (string, error) {
	if err := h.enter(ctx); err != nil {
		return "", err
	}
	return h.r.History(ctx, groups)
}
