//go:build engines

package integration

import (
	"testing"
	"time"
)

func TestEverythingFromTheBeginning(t *testing.T) {
	onBoth(t, 4, func(t *testing.T, b *bench) {
		b.put(t, keys(25), 20)
		l := run(t, b.config("worker", b.clients))
		b.awaitSome(t, 100)
		b.put(t, keys(25), 20)
		b.awaitAll(t)
		l.mustStop(t)
		b.log.check(t)
		b.log.checkNoRepeats(t)
	})
}

// Workers that start in the same instant race for the same rows.
func TestHazard21_OneOfManyWorkersWinsARow(t *testing.T) {
	onBoth(t, 4, func(t *testing.T, b *bench) {
		stop := b.putting(t, keys(25), 50*time.Millisecond)
		var all []*local
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			all = append(all, run(t, b.config(name, b.clients)))
		}
		b.awaitSome(t, 500)
		stop()
		b.awaitAll(t)
		for _, l := range all {
			l.mustStop(t)
		}
		b.log.check(t)
		b.log.checkNoRepeats(t)
		type epoch struct {
			shard string
			n     uint64
		}
		winners := make(map[epoch]int)
		for i, l := range all {
			for _, a := range told(l.events, &l.assigned) {
				if before, ok := winners[epoch{a.Shard, a.Epoch}]; ok {
					t.Errorf("workers %d and %d both have epoch %d of shard %s", before, i, a.Epoch, a.Shard)
				}
				winners[epoch{a.Shard, a.Epoch}] = i
			}
		}
	})
}
