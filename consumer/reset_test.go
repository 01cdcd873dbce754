package consumer_test

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/deadletter/memletters"
	"github.com/runnelhq/runnel/dedup/memdedup"
	"github.com/runnelhq/runnel/lease"
)

// A reset applies again, in a new generation: on purpose.
func TestAResetAppliesAgainAndVoidsTheLettersOfWhatItApplied(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		sink, letters := memdedup.New(), memletters.New()
		cfg := w.once(sink)
		var mended atomic.Bool
		cfg.Handler = consumer.Once(sink, func(_ context.Context, tx *memdedup.Tx, fresh []consumer.Record) error {
			for i, r := range fresh {
				if string(r.Data) == "2" && !mended.Load() {
					return &consumer.PartialError{Done: i, Err: consumer.Permanent(errors.New("poison"))}
				}
				count(tx, string(r.Data))
			}
			return nil
		})
		cfg.Failure = consumer.Failure{Then: consumer.DeadLetter, Letters: letters}
		cfg.Checkpoint = checkpoint.EveryRecord{}
		w.put(0, 5)
		c := w.start(cfg)
		w.until("4 applied", func() bool { return applied(sink, "4") == 1 })
		mended.Store(true)
		if _, err := (lease.Operator{Store: w.store, App: "app"}).Reset(t.Context(), lease.Reset{All: true}); err != nil {
			t.Fatal(err)
		}
		w.until("4 applied again", func() bool { return applied(sink, "4") == 2 })
		if done, err := c.Redrive(t.Context(), deadletter.Query{}); err != nil || done.Done != 1 {
			t.Errorf("redriven %+v, %v; want one letter, which is void", done, err)
		}
		c.clean()
		for i := range 5 {
			want := 2
			if i == 2 {
				want = 1
			}
			if got := applied(sink, strconv.Itoa(i)); got != want {
				t.Errorf("value %d was applied %d times, want %d", i, got, want)
			}
		}
	})
}
