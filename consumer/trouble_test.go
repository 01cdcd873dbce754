package consumer_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/memsource"
	"github.com/runnelhq/runnel/lease"
)

// One shard that finds no stream, while the service has it, is one shard's trouble.
func TestHazard20_OneShardsWordEndsNothing(t *testing.T) {
	inWorld(t, &memsource.Config{Shards: 2}, func(t *testing.T, w *world) {
		cfg := w.config()
		var n atomic.Int64
		cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error { n.Add(1); return nil })
		bad, good := w.source.OpenShards()[0], w.source.OpenShards()[1]
		w.start(cfg)
		<-time.After(10 * time.Second)
		w.source.Inject(memsource.Fault{Op: memsource.OpNext, Shard: bad, Err: consumer.ErrNoStream})
		<-time.After(10 * time.Second)
		worst := time.Duration(0)
		for i := range 60 {
			before := n.Load()
			if _, err := w.source.PutTo(good, "k", []byte(strconv.Itoa(i))); err != nil {
				t.Fatal(err)
			}
			at := time.Now()
			for n.Load() == before {
				<-time.After(100 * time.Millisecond)
			}
			worst = max(worst, time.Since(at))
			<-time.After(time.Second)
		}
		lost := 0
		for _, e := range told[consumer.Lost](w) {
			if e.Shard == good {
				lost++
			}
		}
		if lost > 0 {
			t.Errorf("the good shard was given up %d times in half an hour, worst delay %v", lost, worst)
		}
	})
}

func TestHazard20_OneRowThatCannotBeFreed(t *testing.T) {
	inWorld(t, &memsource.Config{Shards: 6}, func(t *testing.T, w *world) {
		st := &rowStore{Store: w.store}
		cfg := w.config()
		cfg.Leases, cfg.Worker = st, "a"
		a := w.start(cfg)
		w.until("6", func() bool { return len(a.Status().Shards) == 6 })
		var bad atomic.Pointer[string]
		st.set(func(r lease.Row) bool {
			if !isShard(r) || !strings.Contains(string(r.Value), `"owner":""`) {
				return false
			}
			if bad.Load() == nil {
				bad.Store(&r.Key)
			}
			return r.Key == *bad.Load()
		})
		cfg.Worker = "b"
		w.start(cfg)
		<-time.After(10 * time.Minute)
		lost := 0
		for _, e := range told[consumer.Lost](w) {
			if e.Reason == consumer.ReasonLost {
				lost++
			}
		}
		if n := len(a.Status().Shards); n < 2 || lost > 0 {
			t.Errorf("a works on %d shards after one row could not be freed; %d were lost", n, lost)
		}
	})
}

// A source that answers the oldest record with "trimmed" must not be asked without end.
func TestTrimmedAgainAndAgainIsWaitedFor(t *testing.T) {
	inWorld(t, &memsource.Config{Poll: time.Second}, func(t *testing.T, w *world) {
		cfg := w.config()
		cfg.Failure.OnTrimmed = consumer.SkipGap
		w.start(cfg)
		<-time.After(10 * time.Second)
		w.source.Inject(memsource.Fault{Op: memsource.OpNext, Err: consumer.ErrTrimmed, Times: 100})
		w.source.Inject(memsource.Fault{Op: memsource.OpOpen, Delay: time.Millisecond, Times: 100})
		began := time.Now()
		<-time.After(2 * time.Second)
		w.put(0, 1)
		w.until("1", func() bool { return len(w.values()) == 1 })
		if took := time.Since(began); took < 10*time.Minute {
			t.Errorf("100 attempts in %v; gaps told %d, errors told %d", took, len(told[consumer.Gap](w)), len(told[consumer.Failed](w)))
		}
	})
}

// What is left of a disabled stream is read to its end.
func TestListingGoesOnWhileTheStreamCannotBeAsked(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		cfg := w.config()
		parent := w.source.OpenShards()[0]
		w.put(0, 1)
		w.start(cfg)
		w.until("1", func() bool { return len(w.values()) == 1 })
		w.source.Inject(memsource.Fault{Op: memsource.OpNext, Hide: memsource.HideAll, Times: 1}) // hazard 13
		if _, err := w.source.Roll(parent); err != nil {
			t.Fatal(err)
		}
		w.put(1, 2)
		w.source.Disable()
		<-time.After(10 * time.Minute)
		if got := w.values(); len(got) != 2 {
			t.Errorf("handled %v in ten minutes, errors %v", got, told[consumer.Failed](w))
		}
	})
}

func TestAThousandIdleShards(t *testing.T) {
	inWorld(t, &memsource.Config{Shards: 1000, Poll: 20 * time.Second}, func(t *testing.T, w *world) {
		cfg := w.config()
		cfg.Flow.Budget = consumer.NewBudget(8 << 20)
		var n atomic.Int64
		cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error { n.Add(1); return nil })
		c := w.start(cfg)
		w.until("1000", func() bool { return len(c.Status().Shards) == 1000 })
		<-time.After(time.Minute)
		busy := w.source.OpenShards()[7]
		for i := range 5000 {
			if _, err := w.source.PutTo(busy, "k", make([]byte, 1000)); err != nil {
				t.Fatal(i, err)
			}
		}
		at := time.Now()
		for n.Load() < 5000 {
			<-time.After(100 * time.Millisecond)
		}
		if d := time.Since(at); d > time.Minute {
			t.Errorf("a busy shard among the idle ones took %v", d)
		}
		c.clean()
		if cfg.Flow.Budget.Used() != 0 {
			t.Errorf("%d bytes are still counted", cfg.Flow.Budget.Used())
		}
	})
}

func TestAnExpiryOfASecond(t *testing.T) {
	inWorld(t, &memsource.Config{Shards: 20}, func(t *testing.T, w *world) {
		cfg := w.config()
		cfg.Timing = lease.Timing{Heartbeat: 200 * time.Millisecond, Expiry: time.Second, Poll: 200 * time.Millisecond, Request: 200 * time.Millisecond, List: time.Second, Settle: 300 * time.Millisecond}
		seen := map[string]int{}
		var mu sync.Mutex
		cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
			mu.Lock()
			seen[string(r.Data)]++
			mu.Unlock()
			return nil
		})
		a, b := w.start(cfg), w.start(cfg)
		for i := range 200 {
			if _, _, err := w.source.Put(fmt.Sprint(i), []byte(strconv.Itoa(i))); err != nil {
				t.Fatal(err)
			}
			<-time.After(50 * time.Millisecond)
			if i == 100 {
				a.clean()
			}
		}
		<-time.After(10 * time.Second)
		b.clean()
		mu.Lock()
		defer mu.Unlock()
		for i := range 200 {
			if seen[strconv.Itoa(i)] != 1 {
				t.Errorf("%d: %d", i, seen[strconv.Itoa(i)])
			}
		}
	})
}

func TestStreamsMadeAnewUnderLoad(t *testing.T) {
	for seed := range 3 {
		inWorld(t, &memsource.Config{Shards: 4}, func(t *testing.T, w *world) {
			cfg := w.config()
			cfg.Hooks.Checkpointed = nil // shards of two incarnations have one name
			var mu sync.Mutex
			seen := map[string]int{}
			last := map[string]int{}
			cfg.Handler = consumer.Each(func(ctx context.Context, r consumer.Record) error {
				<-time.After(10 * time.Millisecond)
				mu.Lock()
				defer mu.Unlock()
				seen[string(r.Data)]++
				n, err := strconv.Atoi(strings.TrimPrefix(string(r.Data), r.Stream+"/"))
				if err != nil {
					return err
				}
				if n < last[r.Stream+r.Shard] {
					t.Errorf("%s after %d", r.Data, last[r.Stream+r.Shard])
				}
				last[r.Stream+r.Shard] = n
				return nil
			})
			a, b := w.start(cfg), w.start(cfg)
			inc := func() string {
				st, err := w.source.Stream(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				return st.Incarnation
			}
			n := 0
			var final map[string]bool
			for round := range 4 {
				final = map[string]bool{}
				if round > 0 {
					w.source.Create()
				}
				for range 300 {
					n++
					v := fmt.Sprintf("%s/%d", inc(), n)
					final[v] = true
					if _, _, err := w.source.Put(fmt.Sprint(n), []byte(v)); err != nil {
						t.Fatal(err)
					}
					<-time.After(time.Duration(7+seed) * time.Millisecond)
				}
			}
			<-time.After(5 * time.Minute)
			for v := range final {
				if seen[v] != 1 {
					t.Errorf("%s handled %d times", v, seen[v])
				}
			}
			a.clean()
			b.clean()
			if u := a.Status(); len(u.Shards) != 0 {
				t.Error(u)
			}
		})
	}
}
