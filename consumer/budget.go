package consumer

import (
	"context"
	"slices"
	"sync"
)

// DefaultBudget is the size of a consumer's own budget: 64 MiB.
const DefaultBudget = 64 << 20

// Budget bounds the bytes of records that were read and are not settled. A consumer has one of its own unless it is given one, which it
// then shares with the others that were given it.
//
// A page is counted by what its source says it holds. The bound may be passed by what the source cannot foresee – a page
// that came larger than was asked for, or one that is larger than the whole budget and then travels alone – and by one small page for each shard
// that has nothing else in flight, so that shards that are stuck never stop the others.
type Budget struct {
	limit int64

	mu      sync.Mutex
	used    int64
	waiters []*waiter // in order of arrival; the first is served first, whatever it asks for
}

type waiter struct {
	least, most int64
	granted     chan int64 // buffered: the grant is made under the lock
}

// NewBudget makes a budget of so many bytes; below 1 it is [DefaultBudget].
func NewBudget(bytes int64) *Budget {
	if bytes < 1 {
		bytes = DefaultBudget
	}
	return &Budget{limit: bytes}
}

// Used is the number of bytes now counted.
func (b *Budget) Used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// Limit is the size of the budget in bytes.
func (b *Budget) Limit() int64 { return b.limit }

// acquire waits until at least least can be counted and counts as much as is free, up to most. It gives what it counted, and 0 if enough came first.
func (b *Budget) acquire(ctx context.Context, least, most int64, enough <-chan struct{}) (int64, error) {
	w := &waiter{least: min(least, b.limit), most: min(most, b.limit), granted: make(chan int64, 1)}
	b.mu.Lock()
	b.waiters = append(b.waiters, w)
	b.serve()
	b.mu.Unlock()
	select {
	case n := <-w.granted:
		return n, nil
	case <-enough:
	case <-ctx.Done():
	}
	b.forget(w)
	return 0, context.Cause(ctx)
}

// forget takes back what a waiter asked for, or was granted at the last moment.
func (b *Budget) forget(w *waiter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.waiters, w); i >= 0 {
		b.waiters = slices.Delete(b.waiters, i, i+1)
	} else {
		b.used -= <-w.granted
	}
	b.serve()
}

// tryAcquire is acquire without the wait: 0 if it would have to.
func (b *Budget) tryAcquire(least, most int64) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	free := b.limit - b.used
	if len(b.waiters) > 0 || free < min(least, b.limit) {
		return 0
	}
	n := min(free, most)
	b.used += n
	return n
}

// add counts n, which may be negative, without waiting.
func (b *Budget) add(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used += n
	b.serve()
}

func (b *Budget) serve() {
	for len(b.waiters) > 0 {
		w := b.waiters[0]
		free := b.limit - b.used
		if free < w.least {
			return
		}
		n := min(free, w.most)
		b.used += n
		w.granted <- n
		b.waiters[0] = nil
		b.waiters = b.waiters[1:]
	}
}
