package sourcetest_test

import (
	"context"
	"testing"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/memsource"
	"github.com/runnelhq/runnel/consumer/sourcetest"
)

// A source's test describes its endpoint, and what that cannot do.
func ExampleRun() {
	TestConformance := func(t *testing.T) {
		sourcetest.Run(t, sourcetest.Driver{
			New: func(_ testing.TB, _ int) *sourcetest.Stream {
				s := memsource.New("orders", nil)
				return &sourcetest.Stream{
					Source: func() consumer.Source { return s },
					Put: func(_ context.Context, key string, value []byte) error {
						_, _, err := s.Put(key, value)
						return err
					},
					Roll: func(_ context.Context, shard string) error {
						_, err := s.Roll(shard)
						return err
					},
				}
			},
			Missing: func(testing.TB) consumer.Source {
				s := memsource.New("nothing", nil)
				s.Delete()
				return s
			},
			Lacks: map[sourcetest.Ability]string{
				sourcetest.Shards:    "a stream begins with one shard",
				sourcetest.Merge:     "there is one shard at a time",
				sourcetest.Expire:    "it has no iterators",
				sourcetest.Trim:      "it keeps everything",
				sourcetest.Recreate:  "a stream is never deleted",
				sourcetest.Pass:      "its clock cannot be moved",
				sourcetest.Aggregate: "it has no aggregates",
			},
		})
	}
	_ = TestConformance
	// Output:
}
