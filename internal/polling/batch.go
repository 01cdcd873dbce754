package polling

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/runnelhq/runnel/consumer"
)

// kept is how many batches a Pool keeps that nobody uses. More are in use at the same time only if pages wait for handlers.
const kept = 4

// Pool lends the memory of batches to all shards of a source. It is no sync.Pool: at the rate at which answers are decoded, the collector would empty that between two answers.
type Pool struct {
	mu   sync.Mutex
	free []*Batch
}

// Batch holds the records of one answer. Its memory goes back to its Pool when the Reader and the pages that it cut have released it.
type Batch struct {
	Records []consumer.Record
	Sizes   []int64 // of each record, in memory, about
	pool    *Pool
	users   atomic.Int32
}

// Get gives a Batch of n zero records, which its caller uses.
func (p *Pool) Get(n int) *Batch {
	b := p.take(n)
	if b == nil {
		b = &Batch{Records: make([]consumer.Record, n), Sizes: make([]int64, n), pool: p}
	}
	b.Records, b.Sizes = b.Records[:n], b.Sizes[:n]
	b.users.Store(1)
	return b
}

// take finds the smallest batch that has room for n records.
func (p *Pool) take(n int) *Batch {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, b := range p.free {
		if cap(b.Records) >= n {
			p.free = slices.Delete(p.free, i, i+1)
			return b
		}
	}
	return nil
}

// put keeps the largest of the batches that nobody uses, in the order of their room.
func (p *Pool) put(b *Batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i, _ := slices.BinarySearchFunc(p.free, cap(b.Records), func(b *Batch, room int) int { return cap(b.Records) - room })
	p.free = slices.Insert(p.free, i, b)
	if len(p.free) > kept {
		p.free = slices.Delete(p.free, 0, 1)
	}
}

// release ends one use.
func (b *Batch) release() {
	if b.users.Add(-1) > 0 {
		return
	}
	clear(b.Records) // what they refer to is large
	b.pool.put(b)
}
