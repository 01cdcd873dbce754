package consumer_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
)

// stuck starts a consumer of 100 records whose handler does not return from the last of them until release is called, whatever its context says.
func (w *world) stuck(s checkpoint.Strategy) (c *running, ps []checkpoint.Position, release func()) {
	w.t.Helper()
	released := make(chan struct{})
	cfg := w.config()
	cfg.Checkpoint = s
	cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
		w.saw(r)
		if len(w.values()) == 100 {
			<-released
		}
		return nil
	})
	ps = w.put(0, 100)
	c = w.start(cfg)
	w.until("100", func() bool { return len(w.values()) == 100 })
	return c, ps, func() { close(released) }
}

// A process may be killed in its drain: what is done is stored then as at any time.
func TestPositionsAreStoredDuringADrain(t *testing.T) {
	inWorld(t, still, func(t *testing.T, w *world) {
		c, ps, release := w.stuck(checkpoint.Any{checkpoint.EveryN(1000), checkpoint.Every(20 * time.Second)})
		shard := w.source.OpenShards()[0]
		c.cancel()
		<-time.After(time.Second)
		w.seen[50].Checkpoint()
		<-time.After(time.Second)
		if at := w.storedAt(shard); at.Before(ps[50]) {
			t.Errorf("record 50 asked to be stored in the drain, and the stored position is %q", at)
		}
		before := w.storedAt(shard)
		release()
		if err := c.stop(); err != nil {
			t.Errorf("Run returned %v", err)
		}
		if at := w.storedAt(shard); at != ps[99] || before == at {
			t.Errorf("after the drain %q is stored, and %q before its end; want the last record, %s, only then", at, before, ps[99])
		}
	})
}

func TestAnIntervalEndsDuringADrain(t *testing.T) {
	inWorld(t, still, func(t *testing.T, w *world) {
		c, ps, release := w.stuck(checkpoint.Every(10 * time.Second))
		c.cancel()
		<-time.After(15 * time.Second)
		if at := w.storedAt(w.source.OpenShards()[0]); at != ps[98] {
			t.Errorf("99 records were done 15 s ago, and %q is stored, want %s", at, ps[98])
		}
		release()
		if err := c.stop(); err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
}

// Of a handler that never returns only what is in its hands is repeated.
func TestAnAbandonedHandlerRepeatsWhatItHolds(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		c, _, release := w.stuck(checkpoint.Every(5 * time.Second))
		if err := c.stop(); err == nil {
			t.Error("Run returned nil with a handler still running")
		}
		next := w.start(w.config())
		w.expect(append(numbers(0, 100), "99"))
		next.clean()
		release()
	})
}

// In a drain a store may refuse the position: handlers get the rest of their time all the same.
func TestADrainSurvivesAPositionThatIsLost(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		c, _, release := w.stuck(checkpoint.Every(5 * time.Second))
		w.store.cut.Store(true)
		c.cancel()
		<-time.After(25 * time.Second) // no heartbeat is acknowledged for longer than the lease lasts
		w.store.cut.Store(false)
		release()
		<-c.ended
		for _, e := range told[consumer.Lost](w) {
			if e.Reason == consumer.ReasonAbandoned {
				t.Errorf("the handler returned in time, and was told to be abandoned: %+v", e)
			}
		}
	})
}

// A handler of single records that gets many at once begins none of them when the shard is lost, or its drain is over.
func TestEachBeginsNoRecordAfterItsContext(t *testing.T) {
	for name, end := range map[string]func(w *world, c *running){
		"lost":    func(w *world, _ *running) { w.store.cut.Store(true) },
		"drained": func(_ *world, c *running) { c.cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(t *testing.T, w *world) {
				var begun, late atomic.Int32
				cfg := w.config()
				cfg.Batch.Size = 100
				cfg.Stop = consumer.Stop{Drain: 2 * time.Second, Grace: time.Second}
				cfg.Handler = consumer.Each(func(ctx context.Context, _ consumer.Record) error {
					if ctx.Err() != nil {
						late.Add(1)
					}
					if begun.Add(1) == 3 {
						<-ctx.Done()
					}
					return nil
				})
				w.put(0, 50)
				c := w.start(cfg)
				w.until("3", func() bool { return begun.Load() == 3 })
				end(w, c)
				<-time.After(20 * time.Second)
				if n := late.Load(); n > 0 {
					t.Errorf("%d records were begun after the end of the context", n)
				}
				w.store.cut.Store(false)
				_ = c.stop()
			})
		})
	}
}
