package consumer_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/memsource"
	"github.com/runnelhq/runnel/lease/memlease"
)

// A stuck handler cannot have memory filled: neither in bytes nor in records.
func TestHazard23_WhatIsInFlightIsBounded(t *testing.T) {
	const limit = 1 << 20
	inWorld(t, &memsource.Config{Shards: 4}, func(t *testing.T, w *world) {
		for i := range 40_000 {
			if _, _, err := w.source.Put(fmt.Sprint(i), bytes.Repeat([]byte("x"), 1000)); err != nil {
				t.Fatal(err)
			}
		}
		hold := make(chan struct{})
		cfg := w.config()
		cfg.Flow = consumer.Flow{Budget: consumer.NewBudget(limit), Records: 100}
		cfg.Handler = consumer.Each(func(ctx context.Context, _ consumer.Record) error {
			select {
			case <-hold:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
		c := w.start(cfg)
		<-time.After(10 * time.Minute)
		s := c.Status().Shards
		if len(s) != 4 {
			t.Fatalf("%d shards are assigned", len(s))
		}
		for _, s := range s {
			if s.InFlight == 0 || s.InFlight > 100 {
				t.Errorf("shard %s has %d records in flight, want 1 to 100", s.Shard, s.InFlight)
			}
		}
		if used := cfg.Flow.Budget.Used(); used == 0 || used > limit {
			t.Errorf("%d bytes are counted, want at most %d", used, limit)
		}
		close(hold)
		c.clean()
		if used := cfg.Flow.Budget.Used(); used != 0 {
			t.Errorf("after the stop %d bytes are still counted", used)
		}
	})
}

// Shards that are stuck and hold the whole budget do not stop the others.
func TestStuckShardsDoNotStarveTheOthers(t *testing.T) {
	inWorld(t, &memsource.Config{Shards: 8}, func(t *testing.T, w *world) {
		shards := w.source.OpenShards()
		for _, s := range shards {
			for range 300 {
				if _, err := w.source.PutTo(s, "k", bytes.Repeat([]byte("x"), 1000)); err != nil {
					t.Fatal(err)
				}
			}
		}
		cfg := w.config()
		cfg.Flow.Budget = consumer.NewBudget(64 << 10)
		cfg.Handler = consumer.Each(func(ctx context.Context, r consumer.Record) error {
			if r.Shard == shards[0] {
				w.saw(r)
				return nil
			}
			<-ctx.Done()
			return context.Cause(ctx)
		})
		cfg.Stop.Drain = time.Second
		c := w.start(cfg)
		w.until("all of the shard that is not stuck", func() bool { return len(w.values()) == 300 })
		c.clean()
	})
}

func TestARecordLargerThanTheBudgetTravelsAlone(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		large := bytes.Repeat([]byte("x"), 1<<20)
		for range 3 {
			if _, _, err := w.source.Put("k", large); err != nil {
				t.Fatal(err)
			}
		}
		cfg := w.config()
		cfg.Flow.Budget = consumer.NewBudget(1000)
		c := w.start(cfg)
		w.until("all of them", func() bool { return len(w.values()) == 3 })
		c.clean()
	})
}

func TestHazard24_AnIteratorThatExpiresDuringASlowBatch(t *testing.T) {
	inWorld(t, &memsource.Config{PageRecords: 5}, func(t *testing.T, w *world) {
		cfg := w.config()
		cfg.Handler = consumer.HandlerFunc(func(_ context.Context, rs []consumer.Record) error {
			w.source.Inject(memsource.Fault{Op: memsource.OpNext, Expire: true, Times: 1})
			<-time.After(20 * time.Minute)
			for _, r := range rs {
				w.saw(r)
			}
			return nil
		})
		w.put(0, 20)
		c := w.start(cfg)
		w.until("all of them", func() bool { return len(w.values()) >= 20 })
		w.expect(numbers(0, 20))
		c.clean()
	})
}

// Whatever a source fails with, nothing is lost and nothing comes twice.
func TestReadingGoesOnAfterFaults(t *testing.T) {
	for name, f := range map[string]memsource.Fault{
		"open fails":    {Op: memsource.OpOpen, Err: errCut, Times: 5},
		"reading fails": {Op: memsource.OpNext, Err: errCut, Times: 5},
		"throttled":     {Op: memsource.OpNext, Throttle: true, Times: 30},
		"short pages":   {Op: memsource.OpNext, Short: 1},
		"slow":          {Op: memsource.OpNext, Delay: 10 * time.Second, Times: 3},
		"no listing":    {Op: memsource.OpShards, Err: errCut, Times: 5},
		"no stream yet": {Op: memsource.OpStream, Err: errCut, Times: 5},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, &memsource.Config{PageRecords: 5}, func(t *testing.T, w *world) {
				w.source.Inject(f)
				w.put(0, 20)
				c := w.start(w.config())
				w.expect(numbers(0, 20))
				c.clean()
			})
		})
	}
}

// A reader that fails in the middle is followed by one that goes on where it was.
func TestAReaderThatFailsInTheMiddleIsFollowedByAnother(t *testing.T) {
	inWorld(t, &memsource.Config{PageRecords: 5}, func(t *testing.T, w *world) {
		cfg := w.config()
		cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
			if string(r.Data) == "7" {
				w.source.Inject(memsource.Fault{Op: memsource.OpNext, Err: errCut, Times: 2})
			}
			w.saw(r)
			return nil
		})
		w.put(0, 30)
		c := w.start(cfg)
		w.expect(numbers(0, 30))
		if len(told[consumer.Failed](w)) == 0 {
			t.Error("no reader failed: nothing was tested")
		}
		c.clean()
	})
}

// The data of a record is lent: it is intact in the handler, and gone when the record is settled.
func TestDataIsLentUntilTheRecordIsSettled(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		var kept []consumer.Record
		cfg := w.config()
		cfg.Handler = consumer.HandlerFunc(func(_ context.Context, rs []consumer.Record) error {
			for _, r := range rs {
				w.saw(r) // a clone
				kept = append(kept, r)
			}
			return nil
		})
		w.put(0, 5)
		c := w.start(cfg)
		w.expect(numbers(0, 5))
		c.clean()
		for _, r := range kept {
			if len(r.Data) > 0 && r.Data[0] >= '0' && r.Data[0] <= '9' {
				t.Errorf("the buffer of %s was not given back", r.Position)
			}
		}
	})
}

func TestRecordsCarryWhatASinkNeeds(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.put(0, 1)
		c := w.start(w.config())
		w.expect(numbers(0, 1))
		c.clean()
		r := w.seen[0]
		st, err := w.source.Stream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if r.Epoch == 0 || r.Attempt != 1 || r.Key != "k" || r.Stream != st.Incarnation || r.Arrived.IsZero() {
			t.Errorf("the record is %+v", r)
		}
		if want := st.Incarnation + " " + r.Shard + " " + r.Position.Sort(); r.ID() != want {
			t.Errorf("its ID is %q, want %q", r.ID(), want)
		}
	})
}

// In the steady state nothing is logged above debug, and nothing grows.
func TestHazard33_Quiet(t *testing.T) {
	inWorld(t, &memsource.Config{Shards: 4}, func(t *testing.T, w *world) {
		var mu sync.Mutex
		var log bytes.Buffer
		cfg := w.config()
		cfg.Logger = slog.New(slog.NewTextHandler(lockedWriter{&mu, &log}, &slog.HandlerOptions{Level: slog.LevelInfo}))
		c := w.start(cfg)
		w.put(0, 10)
		w.expect(numbers(0, 10))
		<-time.After(10 * time.Minute)
		mu.Lock()
		if !strings.Contains(log.String(), "shard assigned") {
			t.Error("nothing was logged at the start")
		}
		log.Reset()
		mu.Unlock()
		before := runtime.NumGoroutine()
		w.put(10, 20)
		<-time.After(time.Hour)
		w.expect(numbers(0, 20))
		mu.Lock()
		if log.Len() > 0 {
			t.Errorf("in the steady state it logs:\n%s", log.String())
		}
		mu.Unlock()
		if after := runtime.NumGoroutine(); after > before {
			t.Errorf("%d goroutines became %d", before, after)
		}
		c.clean()
	})
}

type lockedWriter struct {
	mu *sync.Mutex
	b  *bytes.Buffer
}

func (w lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func TestAHookThatPanicsDoesNoHarm(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		cfg := w.config()
		cfg.Hooks.Handled = func(consumer.Handled) { panic("a hook") }
		w.put(0, 3)
		c := w.start(cfg)
		w.expect(numbers(0, 3))
		if err := c.Status().LastError; err == nil || !strings.Contains(err.Error(), "a hook") {
			t.Errorf("the last error is %v", err)
		}
		c.clean()
	})
}

// What was handled is not held by a shard that waits for more: it has left the budget.
func TestASettledBatchIsNotKept(t *testing.T) {
	source := memsource.New("orders", nil)
	freed := make(chan struct{})
	done := make(chan struct{}, 2)
	cfg := consumer.Config{
		Name: "app", Source: source, Leases: memlease.New(), Batch: consumer.Batch{Size: 2},
		Handler: consumer.HandlerFunc(func(_ context.Context, rs []consumer.Record) error {
			if len(rs) == 2 {
				runtime.AddCleanup(&rs[0].Data[0], func(freed chan struct{}) { close(freed) }, freed)
			}
			done <- struct{}{}
			return nil
		}),
	}
	if _, err := source.PutAggregate(source.OpenShards()[0], "k", make([]byte, 4<<10), make([]byte, 4<<10), []byte("a smaller batch")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- consumer.Run(ctx, cfg) }()
	<-done
	<-done
	for kept, begun := true, time.Now(); kept; {
		runtime.GC()
		select {
		case <-freed:
			kept = false
		case <-time.After(10 * time.Millisecond):
			if time.Since(begun) > 20*time.Second {
				t.Error("the data of a batch is held after it was settled")
				kept = false
			}
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
