package consumer_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runnelhq/runnel/consumer"
)

// keeping is a config whose handler keeps each record, and hands it on with what it was kept as.
func (w *world) keeping(kept chan<- keep) consumer.Config {
	cfg := w.config()
	cfg.Order.By = consumer.PerKey
	cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
		w.saw(r)
		kept <- keep{r.Clone(), consumer.Defer(r)}
		return nil
	})
	return cfg
}

type keep struct {
	record consumer.Record
	*consumer.Deferred
}

func TestAnAcknowledgementMayComeBeforeTheHandlerReturns(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		cfg := w.config()
		cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
			d := consumer.Defer(r)
			if again := consumer.Defer(r).Done(); !errors.Is(again, consumer.ErrNotKept) {
				t.Errorf("kept twice: %v", again)
			}
			if string(r.Data) == "1" && r.Attempt == 1 {
				if err := d.Fail(errNo); err != nil {
					t.Error(err)
				}
				return nil
			}
			done := make(chan error)
			go func() { done <- d.Done() }()
			if err := <-done; err != nil {
				t.Error(err)
			}
			w.saw(r)
			return nil
		})
		ps := w.put(0, 3)
		c := w.start(cfg)
		w.expect(numbers(0, 3))
		if at := w.storedAt(w.source.OpenShards()[0]); at != ps[2] {
			t.Errorf("stored %s", at)
		}
		c.clean()
	})
}

func TestWhatFailsAfterTheHandlerReturnedIsTriedAgain(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		kept := make(chan keep, 10)
		var mu sync.Mutex
		var up []consumer.GivenUp
		cfg := w.keeping(kept)
		cfg.Failure = consumer.Failure{MaxAttempts: 3, Then: consumer.Skip}
		cfg.Hooks.GivenUp = func(e consumer.GivenUp) { mu.Lock(); defer mu.Unlock(); up = append(up, e) }
		w.put(0, 2)
		c := w.start(cfg)
		for attempt := 1; attempt <= 3; attempt++ {
			k := <-kept
			if string(k.record.Data) != "0" || k.record.Attempt != attempt {
				t.Errorf("got %s, attempt %d, want attempt %d of 0", k.record.Data, k.record.Attempt, attempt)
			}
			if err := k.Fail(errNo); err != nil {
				t.Error(err)
			}
			if err := k.Done(); !errors.Is(err, consumer.ErrAcknowledged) {
				t.Errorf("Done after Fail: %v", err)
			}
		}
		k := <-kept
		if err := k.Done(); err != nil || string(k.record.Data) != "1" {
			t.Errorf("%s: %v", k.record.Data, err)
		}
		c.clean()
		if len(up) != 1 || up[0].Attempts != 3 || !errors.Is(up[0].Err, errNo) {
			t.Errorf("given up %+v", up)
		}
	})
}

// The deadline is a failure as any other: the record comes again, and who is late is told so and changes nothing.
func TestTheDeadlineOfAnAcknowledgementIsAFailure(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		kept := make(chan keep, 10)
		cfg := w.keeping(kept)
		cfg.Failure.AckWithin = time.Minute
		w.put(0, 1)
		c := w.start(cfg)
		first := <-kept
		begun := time.Now()
		second := <-kept
		if d := time.Since(begun); d < time.Minute || d > 61*time.Second || second.record.Attempt != 2 {
			t.Errorf("attempt %d came after %v", second.record.Attempt, d)
		}
		if err := first.Done(); !errors.Is(err, consumer.ErrLate) {
			t.Errorf("after the deadline: %v", err)
		}
		if st := c.Status().Shards[0]; st.InFlight != 1 {
			t.Errorf("a late acknowledgement counted: %+v", st)
		}
		if err := consumer.Defer(first.record).Done(); !errors.Is(err, consumer.ErrNotKept) {
			t.Errorf("Defer of a clone, later: %v", err)
		}
		if err := second.Done(); err != nil {
			t.Error(err)
		}
		c.clean()
	})
}

func TestDeferRefusesWhatIsNotOfOneCall(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		var other consumer.Record
		var twice atomic.Bool
		cfg := w.config()
		cfg.Batch.Size = 10
		cfg.Handler = consumer.HandlerFunc(func(_ context.Context, rs []consumer.Record) error {
			if twice.Swap(true) {
				for name, d := range map[string]*consumer.Deferred{
					"one of another call": consumer.Defer(rs[0], other), "none": consumer.Defer(), "one of nobody": consumer.Defer(rs[0], consumer.Record{}), "one twice": consumer.Defer(rs[0], rs[0]),
				} {
					if err := d.Done(); !errors.Is(err, consumer.ErrNotKept) {
						t.Errorf("%s: %v", name, err)
					}
					if err := d.Fail(errNo); !errors.Is(err, consumer.ErrNotKept) {
						t.Errorf("%s: %v", name, err)
					}
				}
			} else {
				other = rs[0].Clone()
			}
			for _, r := range rs {
				w.saw(r)
			}
			return nil
		})
		w.put(0, 1)
		c := w.start(cfg)
		w.expect(numbers(0, 1))
		w.put(1, 3)
		w.expect(numbers(0, 3))
		c.clean() // nothing of what was refused is waited for
	})
}

// A call that fails keeps nothing of what lies at or behind the record that failed, and what it kept before that stays kept.
func TestACallThatFailsCallsOffWhatItKeptBehind(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		var before, behind *consumer.Deferred
		var calls atomic.Int64
		again := make(chan []consumer.Record, 10)
		cfg := w.config()
		cfg.Order.By = consumer.PerKey
		cfg.Batch.Size = 10
		cfg.Handler = consumer.HandlerFunc(func(_ context.Context, rs []consumer.Record) error {
			if calls.Add(1) == 1 {
				before, behind = consumer.Defer(rs[0]), consumer.Defer(rs[3], rs[1])
				return &consumer.PartialError{Done: 2, Err: errNo}
			}
			var clones []consumer.Record
			for _, r := range rs {
				clones = append(clones, r.Clone())
			}
			again <- clones
			return nil
		})
		w.putEach(4)
		c := w.start(cfg)
		got := map[string]int{}
		for len(got) < 3 {
			for _, r := range <-again {
				got[string(r.Data)] = r.Attempt
			}
		}
		if got["1"] != 1 || got["2"] != 2 || got["3"] != 1 {
			t.Errorf("came again with the attempts %v", got)
		}
		if err := behind.Done(); !errors.Is(err, consumer.ErrLate) {
			t.Errorf("what was behind: %v", err)
		}
		if st := c.Status().Shards[0]; st.InFlight != 1 {
			t.Errorf("the status says %+v", st)
		}
		if err := before.Done(); err != nil {
			t.Errorf("what was before: %v", err)
		}
		c.clean()
	})
}

// A clean stop asks for what was kept, waits for it, and stores it: nothing is delivered twice.
func TestADrainWaitsForAcknowledgements(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		kept := make(chan keep, 100)
		s := newSums()
		w.putKeys(10, 30)
		c := w.start(w.keeping(kept))
		w.until("the first of each key", func() bool { return len(kept) == 10 })
		go func() {
			for range 10 {
				k := <-kept
				<-k.Flush()
				<-time.After(time.Second)
				var won atomic.Int64
				var all sync.WaitGroup
				for range 5 { // only one of many counts
					all.Go(func() {
						switch err := k.Done(); {
						case err == nil:
							won.Add(1)
						case !errors.Is(err, consumer.ErrAcknowledged):
							t.Error(err)
						}
					})
				}
				if all.Wait(); won.Load() != 1 {
					t.Errorf("%d acknowledgements counted", won.Load())
				}
				s.add(k.record)
			}
		}()
		c.clean()
		cfg := w.config()
		cfg.Order.By = consumer.PerKey
		cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error { s.add(r); return nil })
		c = w.start(cfg)
		w.until("the rest", func() bool { return s.len() == 30 })
		<-time.After(time.Minute)
		c.clean()
		s.once(t, 30)
	})
}

// Nobody acknowledges: the drain ends in its time, the position is stored without it, and a new owner gets it.
func TestADrainEndsWithoutAnAcknowledgement(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		kept := make(chan keep, 10)
		cfg := w.keeping(kept)
		cfg.Stop = consumer.Stop{Drain: 10 * time.Second, Grace: time.Second}
		w.putKeys(2, 2)
		c := w.start(cfg)
		w.until("both", func() bool { return len(kept) == 2 })
		first, second := <-kept, <-kept
		if err := second.Done(); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		c.clean()
		if d := time.Since(begun); d < 10*time.Second || d > 12*time.Second {
			t.Errorf("the stop took %v", d)
		}
		if err := first.Done(); !errors.Is(err, consumer.ErrLate) {
			t.Errorf("after the stop: %v", err)
		}
		c = w.start(cfg)
		k := <-kept
		if string(k.record.Data) != string(first.record.Data) {
			t.Errorf("%s came again", k.record.Data)
		}
		_ = k.Done()
		<-time.After(time.Minute)
		c.clean()
		if len(w.values()) != 3 {
			t.Errorf("delivered %v", w.values())
		}
	})
}

func TestAnAcknowledgementAfterTheLeaseWasLostIsLate(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		kept := make(chan keep, 10)
		w.put(0, 1)
		c := w.start(w.keeping(kept))
		k := <-kept
		w.store.cut.Store(true)
		<-time.After(5 * time.Minute)
		if err := k.Done(); !errors.Is(err, consumer.ErrLate) {
			t.Errorf("after the lease: %v", err)
		}
		w.store.cut.Store(false)
		k = <-kept
		if err := k.Done(); err != nil {
			t.Error(err)
		}
		_ = c.stop()
	})
}
