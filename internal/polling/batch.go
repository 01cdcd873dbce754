package polling

import (
	"sync"
	"sync/atomic"

	"github.com/runnelhq/runnel/consumer"
)

// Pool lends the memory of batches to all shards of a source.
type Pool struct{ free sync.Pool }

// Batch holds the records of one answer. Its memory goes back to its Pool when the Reader and the pages that it cut have released it.
type Batch struct {
	Records []consumer.Record
	Sizes   []int64 // of each record, in memory, about
	pool    *Pool
	users   atomic.Int32
}

// Get gives a Batch of n zero records, which its caller uses.
func (p *Pool) Get(n int) *Batch {
	b, ok := p.free.Get().(*Batch)
	if !ok || cap(b.Records) < n {
		b = &Batch{Records: make([]consumer.Record, n), Sizes: make([]int64, n), pool: p}
	}
	b.Records, b.Sizes = b.Records[:n], b.Sizes[:n]
	b.users.Store(1)
	return b
}

// release ends one use.
func (b *Batch) release() {
	if b.users.Add(-1) > 0 {
		return
	}
	clear(b.Records) // what they refer to is large
	b.pool.free.Put(b)
}
