package sourcetest

import (
	"context"
	"testing"
	"time"

	"github.com/runnelhq/runnel/consumer"
)

// Driver makes streams for the suite on one kind of endpoint.
type Driver struct {
	// New makes an empty stream of its own name that can be read at once, and removes it when tb ends. It has that many open shards; with
	// [Shards] in Lacks it is always one.
	New func(tb testing.TB, shards int) *Stream
	// Missing is a source on a stream that does not exist.
	Missing func(tb testing.TB) consumer.Source
	// Coarse is how much earlier than asked for a record may have arrived that a start at an instant gives, because the service cuts instants.
	Coarse time.Duration
	// Lacks says which abilities the endpoint does not have, each with the reason.
	Lacks map[Ability]string
}

// Stream is one stream under test. Functions behind an [Ability] may be nil if Driver.Lacks has the reason. Each returns once the endpoint
// shows the effect to every reader.
type Stream struct {
	// Source is a new source on the stream, as another process would make it.
	Source func() consumer.Source
	// Put adds one record. All records of the suite have different values; keys and values are printable ASCII.
	Put func(ctx context.Context, key string, value []byte) error
	// Read finds in a record what Put was given. It is called before the page is released. Nil: the record's Key and Data.
	Read func(r consumer.Record) (key string, value []byte, err error)
	// Same tells whether two Raw say the same to the source's functions, where the source is a [consumer.Codec] and one of them was decoded. Nil: reflect.DeepEqual.
	Same func(raw, decoded any) bool

	Roll         func(ctx context.Context, shard string) error                 // see the ability [Roll]
	Merge        func(ctx context.Context, a, b string) error                  // see [Merge]
	Expire       func(ctx context.Context) error                               // see [Expire]
	Trim         func(ctx context.Context) error                               // see [Trim]
	Delete       func(ctx context.Context) error                               // see [Recreate]
	Create       func(ctx context.Context) error                               // see [Recreate]
	Pass         func(ctx context.Context, d time.Duration) error              // see [Pass]
	PutAggregate func(ctx context.Context, key string, values ...[]byte) error // see [Aggregate]
}

// Ability is something that can be done to a stream on some endpoints only.
type Ability string

// The abilities. Each but Shards is a function of [Stream] of the same name.
const (
	Shards Ability = "Shards" // New can make a stream with two open shards, and keys are spread over them
	Roll   Ability = "Roll"   // closes an open shard and opens one child or more: a split, a rotation
	Merge  Ability = "Merge"  // closes two open shards, given in the order of the listing, and opens their one child
	Expire Ability = "Expire" // makes every iterator useless that was handed out so far
	Trim   Ability = "Trim"   // drops every record held so far; the shards stay
	// Recreate is two functions: Delete deletes the stream, or disables it, so that its name has none; Create makes it anew under the
	// same name, empty, and all later calls go to the new one.
	Recreate  Ability = "Recreate"
	Pass      Ability = "Pass"         // lets that much time pass by the service's clock: by waiting, or by moving the clock
	Aggregate Ability = "PutAggregate" // adds one record that the source takes apart into several, all of one key
)

// Run runs the suite as subtests of t. What the driver lacks is logged, with the tests that are not run for it.
func Run(t *testing.T, d Driver) {
	t.Helper()
	run(t, d, func(tb testing.TB, name string, f func(tb testing.TB)) {
		tb.(*testing.T).Run(name, func(t *testing.T) { f(t) })
	})
}

// has tells for each ability whether s has its functions. Shards has none.
func (s *Stream) has() map[Ability]bool {
	return map[Ability]bool{
		Roll:      s.Roll != nil,
		Merge:     s.Merge != nil,
		Expire:    s.Expire != nil,
		Trim:      s.Trim != nil,
		Recreate:  s.Delete != nil && s.Create != nil,
		Pass:      s.Pass != nil,
		Aggregate: s.PutAggregate != nil,
	}
}
