package consumer_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/memsource"
	"github.com/runnelhq/runnel/lease"
)

// A worker that can no longer know whether it owns a shard has its handler's context end, with the cause, before another may own it.
func TestHazard15_LossCancelsTheHandler(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		type key struct{}
		causes := make(chan error, 1)
		values := make(chan any, 1)
		cfg := w.config()
		cfg.Handler = consumer.Each(func(ctx context.Context, r consumer.Record) error {
			if string(r.Data) != "1" || r.Epoch > 1 {
				w.saw(r)
				return nil
			}
			values <- ctx.Value(key{})
			<-ctx.Done()
			causes <- context.Cause(ctx)
			return context.Cause(ctx)
		})
		c, err := consumer.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "of Run"))
		ended := make(chan error, 1)
		go func() { ended <- c.Run(ctx) }()
		w.put(0, 3)
		if got := <-values; got != "of Run" {
			t.Errorf("the handler's context has the value %v, want that of Run's context", got)
		}
		begun := time.Now()
		w.store.cut.Store(true)
		if err := <-causes; !errors.Is(err, lease.ErrLost) {
			t.Errorf("the handler's context ended with %v, want ErrLost", err)
		}
		if d := time.Since(begun); d > 8*time.Second {
			t.Errorf("the handler's context ended %v after the last heartbeat could be stored, want at most 8s", d)
		}
		w.store.cut.Store(false)
		w.expect([]string{"0", "1", "2"}) // taken again, in a higher epoch
		lost := told[consumer.Lost](w)
		if len(lost) != 1 || lost[0].Reason != consumer.ReasonLost {
			t.Errorf("told of %+v", lost)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestHazard18_ASlowHandlerKeepsItsShard(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		cfg := w.config()
		cfg.Handler = consumer.Each(func(ctx context.Context, r consumer.Record) error {
			select {
			case <-time.After(10 * time.Minute):
			case <-ctx.Done():
				t.Errorf("its context ended: %v", context.Cause(ctx))
			}
			w.saw(r)
			return nil
		})
		w.put(0, 2)
		first := w.start(cfg)
		second := w.start(cfg)
		w.until("both records", func() bool { return len(w.values()) == 2 })
		if n := len(told[consumer.Assigned](w)); n != 1 {
			t.Errorf("the shard was assigned %d times", n)
		}
		first.clean()
		second.clean()
	})
}

func TestHazard19_ShutdownReturns(t *testing.T) {
	t.Run("with a store that is down", func(t *testing.T) {
		inWorld(t, nil, func(t *testing.T, w *world) {
			c := w.start(w.config())
			w.put(0, 3)
			w.expect(numbers(0, 3))
			w.store.cut.Store(true)
			begun := time.Now()
			_ = c.stop() // it may or may not say what it could not tell the store
			if d := time.Since(begun); d > 30*time.Second {
				t.Errorf("Run returned after %v", d)
			}
		})
	})
	t.Run("with a handler that ignores its context", func(t *testing.T) {
		inWorld(t, nil, func(t *testing.T, w *world) {
			release := make(chan struct{})
			cfg := w.config()
			cfg.Handler = consumer.Each(func(context.Context, consumer.Record) error {
				<-release
				return nil
			})
			w.put(0, 1)
			shard := w.source.OpenShards()[0]
			c := w.start(cfg)
			w.until("the handler has the record", func() bool {
				s := c.Status().Shards
				return len(s) == 1 && s[0].InFlight == 1
			})
			begun := time.Now()
			err := c.stop()
			if d := time.Since(begun); d < 30*time.Second || d > 45*time.Second {
				t.Errorf("Run returned after %v, want the drain, 30s, and the grace, 5s", d)
			}
			if !errors.Is(err, lease.ErrRunning) || !strings.Contains(err.Error(), shard) {
				t.Errorf("Run returned %v, want ErrRunning with the name of the shard", err)
			}
			if got := w.storedAt(shard); !got.IsZero() {
				t.Errorf("the record was never done, and %s is stored", got)
			}
			close(release)
		})
	})
	t.Run("with a source that hangs", func(t *testing.T) {
		inWorld(t, nil, func(t *testing.T, w *world) {
			w.source.Inject(memsource.Fault{Op: memsource.OpNext, Hang: true})
			c := w.start(w.config())
			<-time.After(time.Minute)
			begun := time.Now()
			c.clean()
			if d := time.Since(begun); d > 5*time.Second {
				t.Errorf("Run returned after %v", d)
			}
		})
	})
	t.Run("with a handler that fails", func(t *testing.T) {
		inWorld(t, nil, func(t *testing.T, w *world) {
			cfg := w.config()
			cfg.Handler = consumer.Each(func(context.Context, consumer.Record) error { return errors.New("no") })
			cfg.Failure = consumer.Failure{Backoff: 1000 * time.Hour, MaxBackoff: 1000 * time.Hour} // of which it waits a random part
			w.put(0, 3)
			c := w.start(cfg)
			<-time.After(time.Minute)
			begun := time.Now()
			c.clean()
			if d := time.Since(begun); d > time.Second {
				t.Errorf("Run returned after %v: the drain waited for a back-off", d)
			}
		})
	})
}

// The drain lets a handler finish, stores what it did, and cancels it only when its time is over.
func TestTheDrainLetsAHandlerFinish(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		cfg := w.config()
		cfg.Checkpoint = checkpoint.Manual{}
		begun := make(chan struct{}, 10)
		cfg.Handler = consumer.Each(func(ctx context.Context, r consumer.Record) error {
			begun <- struct{}{}
			select {
			case <-time.After(20 * time.Second):
				w.saw(r)
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
		ps := w.put(0, 3)
		c := w.start(cfg)
		<-begun
		c.clean()
		if got := w.values(); len(got) != 1 {
			t.Fatalf("handled %v, want the one record that was in the handler's hands", got)
		}
		c = w.start(w.config())
		w.expect(numbers(0, 3))
		c.clean()
		if e := told[consumer.Assigned](w)[1]; e.Start.Position() != ps[0] {
			t.Errorf("the next owner starts at %s, want after %s", e.Start, ps[0])
		}
	})
}

func TestADrainThatTakesTooLongCancelsTheHandler(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		causes := make(chan error, 1)
		cfg := w.config()
		cfg.Stop.Drain = 10 * time.Second
		begun := make(chan struct{})
		cfg.Handler = consumer.Each(func(ctx context.Context, _ consumer.Record) error {
			close(begun)
			<-ctx.Done()
			causes <- context.Cause(ctx)
			return context.Cause(ctx)
		})
		w.put(0, 1)
		c := w.start(cfg)
		<-begun
		since := time.Now()
		c.clean()
		if d := time.Since(since); d < 10*time.Second || d > 12*time.Second {
			t.Errorf("the drain took %v, want 10s", d)
		}
		if err := <-causes; !errors.Is(err, consumer.ErrDrain) {
			t.Errorf("the handler's context ended with %v, want ErrDrain", err)
		}
		if len(told[consumer.Retried](w)) != 0 {
			t.Error("a handler that gave up with its context counts as a failure")
		}
	})
}

func TestHazard20_OneShardsTroubleIsItsOwn(t *testing.T) {
	inWorld(t, &memsource.Config{Shards: 3}, func(t *testing.T, w *world) {
		shards := w.source.OpenShards()
		bad := errors.New("bad")
		cfg := w.config()
		cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
			switch r.Shard {
			case shards[0]:
				panic(bad)
			default:
				w.saw(r)
				return nil
			}
		})
		w.source.Inject(memsource.Fault{Op: memsource.OpNext, Shard: shards[1], Err: bad})
		for _, s := range shards {
			for range 5 {
				if _, err := w.source.PutTo(s, "k", []byte(s)); err != nil {
					t.Fatal(err)
				}
			}
		}
		c := w.start(cfg)
		w.expect([]string{shards[2], shards[2], shards[2], shards[2], shards[2]})
		if s := c.Status(); !errors.Is(s.LastError, bad) || !s.Running || len(s.Shards) != 3 {
			t.Errorf("the status says %+v", s)
		}
		c.clean()
	})
}

func TestTwoConsumersOfOneNameOnDifferentStreams(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		c := w.start(w.config())
		w.put(0, 3)
		w.expect(numbers(0, 3))
		other := w.config()
		other.Source = memsource.New("payments", nil)
		second := w.start(other)
		<-second.ended
		if err := second.err; !errors.Is(err, lease.ErrStream) || !strings.Contains(err.Error(), "orders") || !strings.Contains(err.Error(), "payments") {
			t.Errorf("Run returned %v, want ErrStream with both names", err)
		}
		c.clean()
	})
}

func TestRunIsOnce(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		c := w.start(w.config())
		w.until("it runs", func() bool { return c.Status().Running })
		if err := c.Run(t.Context()); !errors.Is(err, consumer.ErrRunning) {
			t.Errorf("a second Run returned %v", err)
		}
		c.clean()
	})
}
