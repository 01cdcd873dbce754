package consumer_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/memsource"
)

// Of twelve shards two bring four fifths of the bytes, and one worker of three happens to have both.
func TestShardsAreSharedOutByTheirWeight(t *testing.T) {
	inWorld(t, &memsource.Config{Shards: 12}, func(t *testing.T, w *world) {
		const hot, cool = 24 << 10, 1200
		var all []*running
		for _, name := range []string{"one", "two", "three"} {
			cfg := w.config()
			cfg.Worker, cfg.Balance.ByWeight, cfg.Checkpoint = name, true, nil
			cfg.Handler = consumer.HandlerFunc(func(_ context.Context, _ []consumer.Record) error { return nil })
			all = append(all, w.start(cfg))
		}
		w.until("four shards each", func() bool {
			for _, c := range all {
				if len(c.Status().Shards) != 4 {
					return false
				}
			}
			return true
		})
		weights := make(map[string]int)
		for _, s := range w.source.OpenShards() {
			weights[s] = cool
		}
		for _, s := range all[0].Status().Shards[:2] {
			weights[s.Shard] = hot
		}
		data := bytes.Repeat([]byte("x"), hot)
		for range 300 {
			for shard, n := range weights {
				if _, err := w.source.PutTo(shard, shard, data[:n]); err != nil {
					t.Fatal(err)
				}
			}
			<-time.After(time.Second)
		}
		const best = hot // each heavy shard alone, and the ten others together
		loads := make([]int, len(all))
		for i, c := range all {
			for _, s := range c.Status().Shards {
				loads[i] += weights[s.Shard]
			}
			if loads[i] > best*115/100 {
				t.Errorf("a worker has %d bytes a second of %d, more than 1.15 times the best possible, %d", loads[i], 2*hot+10*cool, best)
			}
		}
		moves := len(told[consumer.Assigned](w))
		for range 300 { // it has settled
			for shard, n := range weights {
				if _, err := w.source.PutTo(shard, shard, data[:n]); err != nil {
					t.Fatal(err)
				}
			}
			<-time.After(time.Second)
		}
		if again := len(told[consumer.Assigned](w)); again != moves {
			t.Errorf("%d moves after the load had settled", again-moves)
		}
		t.Logf("bytes a second of each worker: %v; %d shards were taken in all", loads, moves)
		for _, c := range all {
			c.clean()
		}
	})
}
