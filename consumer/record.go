package consumer

import (
	"bytes"
	"strings"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
)

// Record is one change of a stream.
//
// The strings are the handler's to keep. Data and Raw are borrowed until the record is settled, which is when the handler has returned
// without an error for it; [Record.Clone] keeps them longer.
type Record struct {
	Stream   string              // the stream's incarnation
	Shard    string              // the shard's ID
	Key      string              // the partition key, or the item's key; "" where the source has none
	Position checkpoint.Position // where in the shard
	Arrived  time.Time           // by the service's clock; not monotonic
	Attempt  int                 // 1, and 1 more for each failure; of a batch that fails as a whole, for all its records. A new owner begins at 1

	// Epoch rises each time the shard changes hands, and Generation each time it is reset to be applied again: with them a sink can refuse
	// the write of a worker that lost the shard.
	Epoch, Generation uint64

	Redriven bool // it comes from the dead letters: see [Consumer.Redrive]

	Data []byte // the payload; empty where the source's records have a structure, see Raw
	Raw  any    // what the source's own functions read, such as ddbsource.Decode

	in      delivery // nil: no consumer delivered it
	ordinal uint64
}

// ID names the record among all records of its stream's incarnation. It is a stored format and never changes: incarnation, shard and sortable
// position, separated by spaces.
func (r Record) ID() string {
	return strings.Join([]string{r.Stream, r.Shard, r.Position.Sort()}, " ")
}

// Mark names the record to the sink of its effects, with the right of this worker to apply it: for handlers that call the Apply of a sink's package by hand, with [Config].Sink set. It is to be asked by the handler,
// before it returns.
func (r Record) Mark() dedup.Mark {
	m := dedup.Mark{
		Stream: r.Stream, Shard: r.Shard, Key: r.Key, Position: r.Position, Epoch: r.Epoch, Generation: r.Generation, Redrive: r.Redriven,
	}
	if r.in != nil {
		r.in.window().sign(&m, r.ordinal)
	}
	return m
}

// Clone is a copy of r whose Data may be kept. Raw, which a source's own functions read, is not copied, and may hold in memory the whole answer that the record
// came with: set it to nil in a copy that is kept for long.
func (r Record) Clone() Record {
	r.Data = bytes.Clone(r.Data)
	return r
}

// Checkpoint asks that the position be written as soon as r and everything before it is done, whatever the strategy. It may be called from the
// handler or later, from any goroutine; it does nothing on a record that no consumer delivered.
func (r Record) Checkpoint() {
	if r.in != nil {
		r.in.window().wish(r.Position)
	}
}

// delivery is whom a record came from.
type delivery interface{ window() *window }
