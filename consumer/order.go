package consumer

import "time"

// Order is which records wait for each other.
type Order struct {
	// By is what is kept in order. Default [PerShard].
	By OrderBy
	// Key gives what [PerKey] orders by, where that is not Record.Key but in the payload, say. It is called for each record that is read, in the order of the shard, and must be quick, and give the
	// same key for the same record whenever it is asked. A record for which it fails or panics fails as if the handler had: it waits for no other, none waits for it, and each attempt asks again.
	Key func(r Record) (string, error)
	// Workers is how many calls of the handler this consumer makes at once, over all its shards. Default 100; with [PerShard] none but one a shard.
	Workers int
	// ShardWorkers is how many of these may be for one shard. Default Workers. With [PerShard] it is 1.
	ShardWorkers int
}

// OrderBy is what is kept in order.
type OrderBy int

const (
	// PerShard hands out one record or batch of a shard after the other. A record that fails holds up its shard. The default.
	PerShard OrderBy = iota
	// PerKey keeps the records of one key in order, and different keys go on side by side. A record that fails holds up its key. The key "" is one as any other: records of a source without keys all wait
	// for each other.
	PerKey
	// Unordered keeps nothing in order: for handlers whose effects do not depend on it. A record that fails holds up no other.
	Unordered
)

// String is the constant's name.
func (b OrderBy) String() string {
	switch b {
	case PerShard:
		return "PerShard"
	case PerKey:
		return "PerKey"
	case Unordered:
		return "Unordered"
	}
	return "unknown"
}

func (o Order) withDefaults() Order {
	if o.By != PerShard {
		fill(&o.Workers, 100)
		fill(&o.ShardWorkers, o.Workers)
	}
	return o
}

func (o Order) faults(refuse refusal) {
	refuse(o.By < PerShard || o.By > Unordered, "Order.By", "is %d: use consumer.PerShard, PerKey or Unordered", o.By)
	refuse(o.Key != nil && o.By != PerKey, "Order.Key", "is given with %s: set Order.By to consumer.PerKey, or leave it out", o.By)
	refuse(o.Workers < 0, "Order.Workers", "is %d: use 1 or more, or 0 for 100", o.Workers)
	refuse(o.ShardWorkers < 0, "Order.ShardWorkers", "is %d: use 1 or more, or 0 for Order.Workers", o.ShardWorkers)
	refuse(o.By == PerShard && o.Workers+o.ShardWorkers > 0, "Order.Workers", "is %d and Order.ShardWorkers %d with PerShard, which makes one call a shard: set Order.By to consumer.PerKey or Unordered",
		o.Workers, o.ShardWorkers)
}

// Batch is how many records a call of the handler gets: the first of Size and Bytes that is reached, and what is there when Wait is over. With [PerKey] a
// batch may hold many keys, none of which is in another batch at the same time.
type Batch struct {
	// Size is the most records of a call. Defaults to 1 for handlers made by [Each] and what is built on it, and for others to what [Config].Sink has room for, 1,000 at most.
	Size int
	// Wait is how long records are held back for a batch to fill. Default 0: a call gets what is ready.
	Wait time.Duration
	// Bytes bounds a call by the bytes of its records' Data; one record may have more. Default 0: no bound. Records whose content is in Raw count as what their page holds a record.
	Bytes int64
}

func (b Batch) faults(refuse refusal) {
	refuse(b.Size < 0, "Batch.Size", "is %d: use 1 or more, or 0 for the default", b.Size)
	refuse(b.Wait < 0, "Batch.Wait", "is %v: use a positive duration, or 0 to hold nothing back", b.Wait)
	refuse(b.Bytes < 0, "Batch.Bytes", "is %d: use 1 or more, or 0 for no bound", b.Bytes)
}
