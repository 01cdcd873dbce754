package memdedup

import (
	"context"
	"strconv"
	"testing"

	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/deduptest"
)

func TestConformance(t *testing.T) {
	deduptest.Run(t, deduptest.Harness[*Tx]{Open: func(*testing.T) deduptest.Database[*Tx] {
		db := New()
		return deduptest.Database[*Tx]{
			Sink: func(*testing.T) dedup.Effects[*Tx] { return db.Another() },
			Add: func(tx *Tx, name string, n int) error {
				v, _ := tx.Get(name)
				tx.Set(name, strconv.AppendInt(nil, number(v)+int64(n), 10))
				return nil
			},
			Total: func(_ context.Context, name string) (int, error) {
				v, _ := db.Get(name)
				return int(number(v)), nil
			},
			Rows: func(_ context.Context, app string) (n int, err error) {
				db.mu.Lock()
				defer db.mu.Unlock()
				for k, sh := range db.shards {
					if k.app == app {
						n += 1 + len(sh.done) + len(sh.dead)
					}
				}
				return n, nil
			},
			Save: func(*testing.T) func() { return db.Snapshot() },
		}
	}})
}

func number(text []byte) int64 {
	n, _ := strconv.ParseInt(string(text), 10, 64)
	return n
}
