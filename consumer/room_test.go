package consumer_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/memsource"
)

// A shard with more records than its window holds is read on as soon as there is room, not when the feed happens to look.
func TestTheShardIsReadOnAsSoonAsThereIsRoom(t *testing.T) {
	for _, by := range []consumer.OrderBy{consumer.PerShard, consumer.PerKey} {
		inWorld(t, &memsource.Config{}, func(t *testing.T, w *world) {
			w.put(0, 1000)
			var last atomic.Int64
			begun := time.Now()
			cfg := w.config()
			cfg.Checkpoint = nil
			cfg.Order.By = by
			cfg.Flow.Records = 20
			cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
				w.saw(r)
				last.Store(int64(time.Since(begun)))
				return nil
			})
			r := w.start(cfg)
			w.until("all are handled", func() bool { return len(w.values()) == 1000 })
			r.clean()
			if took := time.Duration(last.Load()); took > 15*time.Second {
				t.Errorf("%v: 1,000 records took %v", by, took)
			}
		})
	}
}

// What was done side by side stays done when the order is the shard's from then on.
func TestWhatIsDoneAheadStaysDoneInAnotherOrder(t *testing.T) {
	inWorld(t, &memsource.Config{}, func(t *testing.T, w *world) {
		w.putKeys(2, 6)
		cfg := w.config()
		cfg.Order = consumer.Order{By: consumer.PerKey}
		cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
			if r.Key == "k0" {
				return errors.New("no")
			}
			w.saw(r)
			return nil
		})
		r := w.start(cfg)
		w.until("the other key is done", func() bool { return len(w.values()) == 3 })
		r.clean()

		r = w.start(w.config())
		w.until("the rest is done", func() bool { return len(w.values()) >= 6 })
		r.clean()
		if got := w.values(); !slices.Equal(got, []string{"1", "3", "5", "0", "2", "4"}) {
			t.Errorf("handled %v", got)
		}
	})
}
