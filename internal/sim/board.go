package sim

import (
	"context"
	"fmt"

	"github.com/runnelhq/runnel/internal/ground"
	"github.com/runnelhq/runnel/lease"
)

// board is who works on what, and how often each shard was taken.
type board struct {
	shards int                // that there are
	of     map[string]*worker // by shard
	takes  map[string]int
	held   map[*worker]int // of those that live
}

func (b *board) took(id string, k *worker) {
	b.of[id] = k
	b.takes[id]++
	b.held[k]++
}

func (b *board) left(id string, k *worker) {
	if b.of[id] == k {
		delete(b.of, id)
	}
	b.held[k]--
}

// spread is the least and the most that a worker has.
func (b *board) spread() (least, most int) {
	least = b.shards
	for _, n := range b.held {
		least, most = min(least, n), max(most, n)
	}
	return least, most
}

func (b *board) String() string {
	least, most := b.spread()
	return fmt.Sprintf("of %d shards %d are owned, %d to %d each", b.shards, len(b.of), least, most)
}

// holder is what a worker of a fleet does with its leases.
type holder struct {
	f *fleet
	k *worker
}

// work holds a shard until it is wanted back.
func (h holder) work(ctx context.Context, l *lease.Lease) <-chan struct{} {
	id, p := l.Shard().ID, h.k.p
	h.f.audit.lease(id).epochs[l.Epoch()].worked = true
	h.f.board.took(id, h.k)
	defer h.f.board.left(id, h.k)
	if p.Wait(ctx, ground.Forever, l.Draining()) != nil {
		return nil
	}
	ctx, cancel := p.Limit(ctx, h.f.timing.Expiry/2, context.DeadlineExceeded)
	defer cancel()
	if err := l.Release(ctx, l.Position(), l.Ahead()); err != nil {
		h.f.fail("release", "%s cannot release %s: %v", p.name, id, err)
	}
	return nil
}
