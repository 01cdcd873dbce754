package consumer_test

import (
	"testing"
	"time"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/lease"
)

// All that the service holds is processed again, in a new generation.
func TestAResetOfWhatTheServiceHolds(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		cfg := w.config()
		cfg.Hooks.Checkpointed = nil // which holds that no position goes back
		c := w.start(cfg)
		w.put(0, 5)
		w.expect(numbers(0, 5))
		held := consumer.Held(w.source)
		if is, err := held(t.Context(), w.source.OpenShards()[0]); !is || err != nil {
			t.Errorf("an open shard is held: %v, %v", is, err)
		}
		if is, err := held(t.Context(), "none"); is || err != nil {
			t.Errorf("a shard that there is not is held: %v, %v", is, err)
		}
		operator := lease.Operator{Store: w.store, App: "app"}
		generation, err := operator.Reset(t.Context(), lease.Reset{All: true, Held: held})
		if err != nil || generation != 1 {
			t.Fatalf("generation %d, %v", generation, err)
		}
		w.until("all again", func() bool { return len(w.values()) == 10 })
		<-time.After(5 * time.Second)
		if again := w.seen[5:]; len(again) != 5 || again[0].Generation != 1 || string(again[0].Data) != "0" {
			t.Errorf("processed again: %v", again)
		}
		c.clean()
	})
}
