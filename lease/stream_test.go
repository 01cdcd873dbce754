package lease_test

import (
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/lease"
)

// stream is a service that has shards, as far as leases care.
type stream struct {
	mu          sync.Mutex
	shards      []lease.Shard
	partial     map[string]bool // what listings leave out
	fails       error           // with which listings end
	incarnation string
	pins        int
	listings    int
}

func newStream(ids ...string) *stream {
	s := &stream{partial: make(map[string]bool), incarnation: "one"}
	for _, id := range ids {
		s.add(lease.Shard{ID: id})
	}
	return s
}

func (s *stream) add(shards ...lease.Shard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shards = append(s.shards, shards...)
}

// forget has the service no longer know a shard.
func (s *stream) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shards = slices.DeleteFunc(s.shards, func(k lease.Shard) bool { return k.ID == id })
}

func (s *stream) with(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *stream) list(context.Context) iter.Seq2[lease.Shard, error] {
	s.mu.Lock()
	shards, fails := slices.Clone(s.shards), s.fails
	shards = slices.DeleteFunc(shards, func(k lease.Shard) bool { return s.partial[k.ID] })
	s.listings++
	s.mu.Unlock()
	return func(yield func(lease.Shard, error) bool) {
		for _, k := range shards {
			if !yield(k, nil) {
				return
			}
		}
		if fails != nil {
			yield(lease.Shard{}, fails)
		}
	}
}

func (s *stream) gone(_ context.Context, id string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !slices.ContainsFunc(s.shards, func(k lease.Shard) bool { return k.ID == id }), nil
}

func (s *stream) pin(context.Context, checkpoint.Start) (checkpoint.Start, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pins++
	return checkpoint.AtTime(time.Now()), nil
}

func (s *stream) incarnated(context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.incarnation, nil
}
