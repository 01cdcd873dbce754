package consumer_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/deadletter/memletters"
)

func letters(t *testing.T, s deadletter.Store, app, stream string) (keys []string) {
	t.Helper()
	for l, err := range s.Read(t.Context(), deadletter.Query{Scope: deadletter.Scope{App: app, Stream: stream}}) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, string(l.Payload))
	}
	return keys
}

// Hazard 27: a parked key stays parked until its letters are drained, in order.
func TestHazard27_AParkedKeyIsRedrivenInOrder(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		var mended atomic.Bool
		store := memletters.New()
		cfg := w.config()
		cfg.Order.By = consumer.PerKey
		cfg.Failure = consumer.Failure{MaxAttempts: 2, Then: consumer.ParkKey, Letters: store}
		cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
			if string(r.Data) == "4" && !mended.Load() {
				return errors.New("cannot be handled")
			}
			w.saw(r)
			return nil
		})
		w.putKeys(2, 10)
		c := w.start(cfg)
		w.until("the letters", func() bool { return len(w.values()) == 7 })
		<-time.After(time.Second)
		c.clean()
		st, err := w.source.Stream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := letters(t, store, "app", st.Incarnation); !slices.Equal(got, []string{"4", "6", "8"}) {
			t.Fatalf("the letters are %v", got)
		}

		c = w.start(cfg) // another owner
		if _, _, err := w.source.Put("k0", []byte("10")); err != nil {
			t.Fatal(err)
		}
		w.until("one more letter", func() bool { return len(letters(t, store, "app", st.Incarnation)) == 4 })
		if done, err := c.Redrive(t.Context(), deadletter.Query{}); err != nil || done.Failed != 1 || done.Done != 0 {
			t.Fatalf("redrive of what fails: %+v, %v", done, err)
		}
		mended.Store(true)
		done, err := c.Redrive(t.Context(), deadletter.Query{})
		if err != nil || done.Done != 4 {
			t.Fatalf("redriven: %+v, %v", done, err)
		}
		if _, _, err := w.source.Put("k0", []byte("12")); err != nil {
			t.Fatal(err)
		}
		w.until("the key goes on", func() bool { return len(w.values()) == 12 })
		c.clean()
		var of []string
		for _, r := range w.seen {
			if r.Key == "k0" {
				of = append(of, string(r.Data))
			}
		}
		if want := []string{"0", "2", "4", "6", "8", "10", "12"}; !slices.Equal(of, want) {
			t.Errorf("the key's records were handled as %v, want %v", of, want)
		}
	})
}
