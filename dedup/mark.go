package dedup

import (
	"strconv"
	"strings"

	"github.com/runnelhq/runnel/checkpoint"
)

// Scope is by what repeats are told. It follows from the order in which records are handled.
type Scope uint8

const (
	// PerShard has one mark a shard, its watermark: for records that are handled in the order of their shard.
	PerShard Scope = iota
	// PerKey has one mark a key above the watermark, for records that are handled in the order of their key: what is above is bounded by what is in flight.
	PerKey
	// PerID has one mark a record, which stays for [Terms].TTL: for records in no order. It needs no fence, and has none: Seal and Advance do nothing.
	PerID
)

// String is the constant's name.
func (s Scope) String() string {
	switch s {
	case PerShard:
		return "PerShard"
	case PerKey:
		return "PerKey"
	case PerID:
		return "PerID"
	}
	return "unknown"
}

// Mark names a record to a sink, with the right to apply it: plain data.
type Mark struct {
	App    string // the application, whose effects these are
	Stream string // the stream's incarnation
	Shard  string
	Scope  Scope

	Key      string              // with PerKey: by which the record is ordered
	Alone    bool                // with PerKey: it has no key and is ordered by nothing
	Position checkpoint.Position // of the record; for Seal that of the lease, and for Advance the watermark

	Epoch      uint64 // rises each time the shard changes hands, and along a lineage of shards
	Session    string // with Epoch the fence: an epoch that was handed out twice is told apart
	Generation uint64 // rises only with a reset, which applies again

	Redrive bool // it was given up, and is to be applied now: what decides is whether it rests among the dead
}

// ID names the record of a mark in its generation: application, incarnation, shard, sortable position and generation, as a dead letter's ID does. It is a stored format and
// never changes: the parts are separated by a space, and a space or a percent sign inside one is percent-encoded.
func (m Mark) ID() string {
	escape := strings.NewReplacer("%", "%25", " ", "%20").Replace
	return strings.Join([]string{escape(m.App), escape(m.Stream), escape(m.Shard), m.Position.Sort(), strconv.FormatUint(m.Generation, 10)}, " ")
}

// Lane names what a mark of PerKey is ordered by, in stores: the key behind a "k", or, for a mark that is Alone, the sortable position behind a "p". Keys may hold any bytes. It is a stored format and
// never changes.
func (m Mark) Lane() string {
	if m.Alone {
		return "p" + m.Position.Sort()
	}
	return "k" + m.Key
}
