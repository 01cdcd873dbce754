package consumer

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/lease"
)

// What a [Source] and its [Reader] report as facts, by wrapping. What follows from them is the runtime's policy. Every other error is
// taken for passing: the runtime tries again with back-off, and opens a new Reader after the last position it was given.
var (
	// ErrTrimmed: records between the position asked for and the oldest one held are gone.
	ErrTrimmed = errors.New("consumer: records were trimmed before they were read")
	// ErrNoShard: the stream is there and does not know this shard. It is never the end of a shard.
	ErrNoShard = errors.New("consumer: no such shard")
	// ErrNoStream: the stream is not there, was never enabled, or is another one than the one that was opened.
	ErrNoStream = errors.New("consumer: no such stream")
	// ErrDenied: the service refuses the caller: wrong credentials, region or permissions.
	ErrDenied = errors.New("consumer: access denied")
)

// Shard is one shard of a stream.
type Shard = lease.Shard

// Stream is what a source knows of its stream.
type Stream struct {
	Name string // what the caller named
	// Incarnation tells two streams of one name apart: an ARN with its label or time of creation. Positions of two incarnations
	// never mix.
	Incarnation string
	Retention   time.Duration // how long records are held; 0: unknown
	KeyOrder    bool          // whether the records of one key are in one shard and its descendants, in order
}

// Source reads streams of one name. It keeps nothing about them: every method but the first names the incarnation that it is about, as
// Stream gave it. Its methods are safe for concurrent use. A Source that can be configured wrongly has a method Validate() error, which [New] calls.
type Source interface {
	// Stream asks the service which stream has the name now.
	Stream(ctx context.Context) (Stream, error)
	// Shards lists all shards, parents before their children where the listing has both. A listing may be incomplete; an error is
	// yielded last.
	Shards(ctx context.Context, st Stream) iter.Seq2[Shard, error]
	// Pin turns LATEST into a start that stays where it is: an instant of the service's own clock, cut so that it is never too late. Other starts
	// are returned as they are.
	Pin(ctx context.Context, st Stream, at checkpoint.Start) (checkpoint.Start, error)
	// Open begins to read a shard. It asks the service at once: the error wraps [ErrNoShard] if the shard is unknown, [ErrTrimmed] if the position after
	// which to read is no longer held, [ErrNoStream] if the stream is gone or has another incarnation than st.
	Open(ctx context.Context, st Stream, s Shard, at checkpoint.Start) (Reader, error)
}

// Codec is a [Source] whose records are more than their Data: what its own functions read from Raw is kept in a dead letter as bytes, and made again for a redrive. Of the
// records of other sources the Data is kept. Its methods are safe for concurrent use and make no request.
type Codec interface {
	// Encode gives what Decode needs to make Raw and Data of the record again, in another process too. It is a stored format: what one version encodes, later ones decode.
	Encode(r Record) ([]byte, error)
	// Decode sets Raw and Data of r, whose other fields are those of the letter, so that the source's functions read from r what they read from the record. What it sets holds
	// nothing of b. Bytes that cannot be decoded are a [*DecodeError], and r stays as it is.
	Decode(b []byte, r *Record) error
}

// Want bounds the next page. A page may be smaller, and it is larger only by a single record that is.
type Want struct {
	Records int   // 0: as many as the service gives
	Bytes   int64 // 0: as many as the service gives
}

// Reader reads one shard forward. It is used by one goroutine at a time.
type Reader interface {
	// Next waits for the next page at the pace that the service allows and its own idleness suggests; not to call it is back-pressure.
	// A page without records is an answer too: it is returned so that its caller hears of Through and Behind. Errors
	// leave the Reader usable: the next call tries again from the same place. Expired iterators, throttles and short answers are the Reader's own business,
	// but not for longer than it can stay silent: it returns an error after some seconds without an answer.
	Next(ctx context.Context, w Want) (Page, error)
	// Close frees what the Reader holds.
	Close() error
}

// Page is what one call of [Reader.Next] gave.
type Page struct {
	Records []Record            // de-aggregated, in order
	Through checkpoint.Position // everything up to here was given; it moves on without records too, and is zero if nothing was given yet
	Behind  time.Duration       // how far the page lies behind the newest record of the shard; negative: unknown
	Bytes   int64               // what the records hold in memory, about
	// End says that the shard is closed and this was its last page; it may hold records. Children are the shards that continue it, as far as they
	// can be found: a periodic listing finds the others.
	End      bool
	Children []Shard
	Release  func() // called once when no record of the page is used any longer; may be nil
}
