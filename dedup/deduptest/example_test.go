package deduptest_test

import (
	"context"
	"encoding/binary"
	"testing"

	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/deduptest"
	"github.com/runnelhq/runnel/dedup/memdedup"
)

// The test of a sink, here of that in memory. One with a network to its database has also to lose what passes there.
func ExampleRun() {
	_ = func(t *testing.T) {
		deduptest.Run(t, deduptest.Harness[*memdedup.Tx]{Open: func(*testing.T) deduptest.Database[*memdedup.Tx] {
			db := memdedup.New()
			number := func(value []byte, there bool) uint64 {
				if !there {
					return 0
				}
				return binary.BigEndian.Uint64(value)
			}
			return deduptest.Database[*memdedup.Tx]{
				Sink: func(*testing.T) dedup.Effects[*memdedup.Tx] { return db.Another() },
				Add: func(tx *memdedup.Tx, name string, n int) error {
					tx.Set(name, binary.BigEndian.AppendUint64(nil, number(tx.Get(name))+uint64(n)))
					return nil
				},
				Total: func(_ context.Context, name string) (int, error) { return int(number(db.Get(name))), nil },
			}
		}})
	}
}
