package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
)

// putKeys adds n records, one of each key after the other, each with its number as data.
func (w *world) putKeys(keys, n int) {
	w.t.Helper()
	for i := range n {
		if _, _, err := w.source.Put("k"+strconv.Itoa(i%keys), []byte(strconv.Itoa(i))); err != nil {
			w.t.Fatal(err)
		}
	}
}

// keyed is a handler that fails a test if a key is in two calls at once, or out of order.
type keyed struct {
	t    *testing.T
	mu   sync.Mutex
	out  map[string]bool
	last map[string]int
	most int
	all  []string
}

func newKeyed(t *testing.T) *keyed {
	return &keyed{t: t, out: make(map[string]bool), last: make(map[string]int)}
}

func (k *keyed) begin(r consumer.Record) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.out[r.Key] {
		k.t.Errorf("key %s is in two calls at once", r.Key)
	}
	k.out[r.Key] = true
	k.most = max(k.most, len(k.out))
}

func (k *keyed) end(r consumer.Record, done bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.out, r.Key)
	if !done {
		return
	}
	n, _ := strconv.Atoi(string(r.Data))
	if last, there := k.last[r.Key]; there && n <= last {
		k.t.Errorf("key %s: %d is done after %d", r.Key, n, last)
	}
	k.last[r.Key] = n
	k.all = append(k.all, string(r.Data))
}

func (k *keyed) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.all)
}

func TestPerKeyRunsKeysSideBySideInTheirOrder(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		k := newKeyed(t)
		cfg := w.config()
		cfg.Checkpoint = nil
		cfg.Order = consumer.Order{By: consumer.PerKey, Workers: 10}
		cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
			k.begin(r)
			<-time.After(10 * time.Millisecond)
			k.end(r, true)
			return nil
		})
		w.putKeys(50, 1000)
		begun := time.Now()
		c := w.start(cfg)
		w.until("all", func() bool { return k.count() == 1000 })
		took := time.Since(begun)
		c.clean()
		if k.most != 10 {
			t.Errorf("up to %d calls at once, want 10", k.most)
		}
		if took > 1500*time.Millisecond {
			t.Errorf("1,000 records of 10 ms with 10 workers took %v", took)
		}
	})
}

func TestAKeyThatFailsHoldsUpNoOther(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		k := newKeyed(t)
		cfg := w.config()
		cfg.Order.By = consumer.PerKey
		cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
			k.begin(r)
			defer k.end(r, r.Key != "k3")
			if r.Key == "k3" {
				return errors.New("no")
			}
			return nil
		})
		w.putKeys(10, 200)
		shard := w.source.OpenShards()[0]
		c := w.start(cfg)
		w.until("the others", func() bool { return k.count() == 180 })
		<-time.After(time.Minute)
		st := c.Status().Shards[0]
		if st.FailingKey != "k3" || st.FailingRecords != 1 || st.InFlight != 20 || st.Failing == nil {
			t.Errorf("the status says %+v", st)
		}
		if at := w.storedAt(shard); at != st.Handled {
			t.Errorf("stored %s, handled %s", at, st.Handled)
		}
		c.clean()

		// Nothing that is done comes again.
		cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
			if r.Key != "k3" {
				t.Errorf("%s of %s is delivered again after a clean stop", r.Data, r.Key)
			}
			k.begin(r)
			k.end(r, true)
			return nil
		})
		c = w.start(cfg)
		w.until("the rest", func() bool { return k.count() == 200 })
		c.clean()
	})
}

func TestUnorderedLetsOthersPass(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		var mu sync.Mutex
		var seen []string
		cfg := w.config()
		cfg.Order.By = consumer.Unordered
		cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
			if string(r.Data) == "0" {
				return errors.New("no")
			}
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, string(r.Data))
			return nil
		})
		w.put(0, 100)
		c := w.start(cfg)
		w.until("the others", func() bool { mu.Lock(); defer mu.Unlock(); return len(seen) == 99 })
		c.clean()
	})
}

func TestAKeyFunctionThatFailsMakesAFailingRecord(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		cfg := w.config()
		cfg.Failure = consumer.Failure{Then: consumer.Skip, MaxAttempts: 3}
		cfg.Order = consumer.Order{By: consumer.PerKey, Key: func(r consumer.Record) (string, error) {
			switch string(r.Data) {
			case "3":
				return "", errors.New("no key in it")
			case "5":
				panic("odd")
			}
			return string(r.Data), nil
		}}
		w.put(0, 8)
		var mu sync.Mutex
		var up []consumer.GivenUp
		cfg.Hooks.GivenUp = func(e consumer.GivenUp) { mu.Lock(); defer mu.Unlock(); up = append(up, e) }
		c := w.start(cfg)
		w.until("all but two", func() bool { mu.Lock(); defer mu.Unlock(); return len(w.values()) == 6 && len(up) == 2 })
		c.clean()
		if vs := w.values(); slices.Contains(vs, "3") || slices.Contains(vs, "5") {
			t.Errorf("the handler got %v", vs)
		}
		for _, e := range up {
			if e.Attempts != 3 || e.Reason != "attempts" || e.Then != consumer.Skip || e.Err == nil {
				t.Errorf("given up: %+v", e)
			}
		}
	})
}

func TestFilteredRecordsAreDone(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		cfg := w.config()
		cfg.Filter = func(r consumer.Record) bool { return string(r.Data) < "5" }
		ps := w.put(0, 10)
		shard := w.source.OpenShards()[0]
		c := w.start(cfg)
		w.until("the last position", func() bool { return w.storedAt(shard) == ps[9] })
		c.clean()
		if got := w.values(); !slices.Equal(got, numbers(0, 5)) {
			t.Errorf("handled %v", got)
		}
	})
}

func TestBisectFindsThePoison(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		var calls, failing int
		cfg := w.config()
		cfg.Checkpoint = checkpoint.Every(time.Second)
		cfg.Batch.Size = 1000
		cfg.Failure = consumer.Failure{Split: consumer.Bisect, MaxAttempts: 1, Then: consumer.Skip}
		cfg.Handler = consumer.HandlerFunc(func(_ context.Context, rs []consumer.Record) error {
			calls++
			for _, r := range rs {
				if string(r.Data) == "777" {
					failing++
					return fmt.Errorf("one of %d", len(rs))
				}
			}
			for _, r := range rs {
				w.saw(r)
			}
			return nil
		})
		w.put(0, 1000)
		c := w.start(cfg)
		w.until("the others", func() bool { return len(w.values()) == 999 })
		c.clean()
		if failing > 11 || calls > 22 {
			t.Errorf("%d calls, of which %d failed", calls, failing)
		}
	})
}

func TestDeferredRecordsWaitForTheirAcknowledgement(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		kept := make(chan *consumer.Deferred, 10)
		cfg := w.config()
		cfg.Order.By = consumer.PerKey
		cfg.Failure.AckWithin = time.Minute
		cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
			w.saw(r)
			kept <- consumer.Defer(r)
			return nil
		})
		w.putKeys(2, 4)
		c := w.start(cfg)
		a, b := <-kept, <-kept
		<-time.After(10 * time.Second)
		if got := len(w.values()); got != 2 {
			t.Fatalf("%d records were handed out, want the first of each key", got)
		}
		if err := a.Done(); err != nil {
			t.Fatal(err)
		}
		if err := a.Done(); !errors.Is(err, consumer.ErrAcknowledged) {
			t.Errorf("twice: %v", err)
		}
		<-kept
		<-time.After(2 * time.Minute) // too late
		if err := b.Done(); !errors.Is(err, consumer.ErrLate) {
			t.Errorf("after the deadline: %v", err)
		}
		for len(kept) > 0 {
			_ = (<-kept).Done()
		}
		stop := make(chan struct{})
		go func() {
			defer close(stop)
			for d := range kept {
				<-d.Flush()
				if err := d.Done(); err != nil {
					t.Error(err)
				}
			}
		}()
		<-time.After(5 * time.Second)
		c.clean()
		close(kept)
		<-stop
	})
}

// Hazard 23: a stuck key stops the reading of its shard when the window is full, and is named.
func TestHazard23_AStuckKeyStopsTheReadingAndIsNamed(t *testing.T) {
	for name, stuck := range map[string]func(ctx context.Context) error{
		"it fails":           func(context.Context) error { return errors.New("no") },
		"it does not return": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(t *testing.T, w *world) {
				k := newKeyed(t)
				cfg := w.config()
				cfg.Order.By = consumer.PerKey
				cfg.Flow.Records = 100
				cfg.Stop.Drain = time.Second
				cfg.Hooks.Full = func(e consumer.Full) { w.event(e) }
				cfg.Handler = consumer.Each(func(ctx context.Context, r consumer.Record) error {
					if r.Key == "k3" {
						return stuck(ctx)
					}
					k.begin(r)
					k.end(r, true)
					return nil
				})
				w.putKeys(10, 5000)
				begun := time.Now()
				c := w.start(cfg)
				w.until("the window is full", func() bool { return len(told[consumer.Full](w)) > 0 })
				<-time.After(time.Hour)
				fulls := told[consumer.Full](w)
				if e := fulls[0]; len(fulls) != 1 || e.Key != "k3" || e.Records < 75 || e.Records > 100 || e.Since.Sub(begun) > time.Second {
					t.Errorf("told %+v, want once that k3 holds up the reading", fulls)
				}
				if st := c.Status().Shards[0]; st.InFlight > 100 || k.count() > 100 || k.count() < 60 {
					t.Errorf("%d records in flight, %d handled behind the one that is stuck, with Flow.Records 100", st.InFlight, k.count())
				}
				c.clean()
			})
		})
	}
}
