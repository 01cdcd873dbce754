package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/memsource"
)

// calls notes what the handler was given: the data of each call, with the attempt behind it.
type calls struct {
	mu  sync.Mutex
	all []string
}

func (c *calls) note(rs []consumer.Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := ""
	for _, r := range rs {
		text += fmt.Sprintf("%s/%d ", r.Data, r.Attempt)
	}
	c.all = append(c.all, text)
}

func (c *calls) are(t *testing.T, want ...string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Equal(c.all, want) {
		t.Errorf("the calls were\n%q, want\n%q", c.all, want)
	}
}

func (c *calls) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.all)
}

// What follows a failure of a batch with the keys k0, k1, k0, k1, whose third record fails once.
func TestWhatIsTriedAgainAfterABatchFails(t *testing.T) {
	partial := func(rs []consumer.Record, i int) error { return &consumer.PartialError{Done: i, Err: errNo} }
	plain := func([]consumer.Record, int) error { return errNo }
	for name, c := range map[string]struct {
		split consumer.Split
		err   func([]consumer.Record, int) error
		want  []string
	}{
		"from the failed one": {consumer.FromFailed, partial, []string{"0/1 1/1 2/1 3/1 ", "3/1 ", "2/2 "}},
		"nobody knows which":  {consumer.FromFailed, plain, []string{"0/1 1/1 2/1 3/1 ", "0/2 1/2 2/2 3/2 "}},
		"whole":               {consumer.Whole, partial, []string{"0/1 1/1 2/1 3/1 ", "0/2 1/2 2/2 3/2 "}},
		"bisect, known":       {consumer.Bisect, partial, []string{"0/1 1/1 2/1 3/1 ", "3/1 ", "2/2 "}},
		"bisect":              {consumer.Bisect, plain, []string{"0/1 1/1 2/1 3/1 ", "0/1 2/1 ", "1/1 3/1 ", "0/1 ", "2/1 ", "2/2 "}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(t *testing.T, w *world) {
				var cs calls
				fails := 1
				if name == "bisect" {
					fails = 3 // until it is alone
				}
				cfg := w.config()
				cfg.Order = consumer.Order{By: consumer.PerKey, Workers: 1}
				cfg.Batch.Size = 10
				cfg.Failure.Split = c.split
				cfg.Handler = consumer.HandlerFunc(func(_ context.Context, rs []consumer.Record) error {
					cs.note(rs)
					i := slices.IndexFunc(rs, func(r consumer.Record) bool { return string(r.Data) == "2" })
					if i >= 0 && fails > 0 {
						fails--
						return c.err(rs, i)
					}
					return nil
				})
				w.putKeys(2, 4)
				run := w.start(cfg)
				w.until("the calls", func() bool { return cs.len() >= len(c.want) })
				<-time.After(time.Minute)
				run.clean()
				cs.are(t, c.want...)
			})
		})
	}
}

func TestPermanentInABatchGivesUpTheOneThatIsMeant(t *testing.T) {
	for name, c := range map[string]struct {
		split consumer.Split
		err   func(i int) error
		want  []string
	}{
		"partial":          {consumer.FromFailed, func(i int) error { return &consumer.PartialError{Done: i, Err: consumer.Permanent(errNo)} }, []string{"2"}},
		"around a partial": {consumer.FromFailed, func(i int) error { return consumer.Permanent(&consumer.PartialError{Done: i, Err: errNo}) }, []string{"2"}},
		"all of them":      {consumer.FromFailed, func(int) error { return consumer.Permanent(errNo) }, []string{"0", "1", "2", "3"}},
		"bisect":           {consumer.Bisect, func(int) error { return consumer.Permanent(errNo) }, []string{"2"}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(t *testing.T, w *world) {
				var mu sync.Mutex
				var up []string
				s := newSums()
				cfg := w.config()
				cfg.Order.By = consumer.PerKey
				cfg.Batch.Size = 10
				cfg.Failure = consumer.Failure{Split: c.split, Then: consumer.Skip, MaxAttempts: 5}
				cfg.Hooks.GivenUp = func(e consumer.GivenUp) {
					mu.Lock()
					defer mu.Unlock()
					if e.Attempts != 1 || e.Reason != "permanent" {
						t.Errorf("given up: %+v", e)
					}
					up = append(up, e.Position.String())
				}
				cfg.Handler = consumer.HandlerFunc(func(_ context.Context, rs []consumer.Record) error {
					i := slices.IndexFunc(rs, func(r consumer.Record) bool { return string(r.Data) == "2" })
					if i >= 0 {
						for _, r := range rs[:i] {
							if _, partial := errors.AsType[*consumer.PartialError](c.err(i)); partial {
								s.add(r)
							}
						}
						return c.err(i)
					}
					for _, r := range rs {
						s.add(r)
					}
					return nil
				})
				ps := w.putEach(4)
				run := w.start(cfg)
				<-time.After(time.Hour)
				run.clean()
				var want []string
				for i, p := range ps {
					if slices.Contains(c.want, fmt.Sprint(i)) {
						want = append(want, p.String())
					} else if !s.has(fmt.Sprint(i)) {
						t.Errorf("record %d was not handled", i)
					}
				}
				slices.Sort(up)
				slices.Sort(want)
				if !slices.Equal(up, want) {
					t.Errorf("given up were %v, want %v", up, want)
				}
			})
		})
	}
}

func TestRetryAfterSetsTheWait(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		var at []time.Time
		cfg := w.config()
		cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
			if at = append(at, time.Now()); len(at) <= 3 {
				return consumer.RetryAfter(time.Hour, errNo)
			}
			w.saw(r)
			return nil
		})
		w.put(0, 1)
		c := w.start(cfg)
		w.expect(numbers(0, 1))
		c.clean()
		for i, a := range at[1:] {
			if d := a.Sub(at[i]); d < time.Hour || d > time.Hour+time.Second {
				t.Errorf("attempt %d came after %v, want an hour", i+2, d)
			}
		}
	})
}

// Records that a slow batch did not come to when its time was over were not tried: that spends no attempt, and gives up none.
func TestATimeoutBlamesNoRecordThatWasNotTried(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		cfg := w.config()
		cfg.Batch.Size = 100
		cfg.Failure = consumer.Failure{Timeout: time.Second, MaxAttempts: 1, Then: consumer.Skip}
		cfg.Hooks.GivenUp = func(e consumer.GivenUp) { t.Errorf("given up: %+v", e) }
		cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
			<-time.After(300 * time.Millisecond)
			if r.Attempt != 1 {
				t.Errorf("%s: attempt %d", r.Data, r.Attempt)
			}
			w.saw(r)
			return nil
		})
		w.put(0, 20)
		c := w.start(cfg)
		w.expect(numbers(0, 20))
		c.clean()
	})
}

// A call that ignores its context is given up: others go on with its worker's replacement, whatever it returns in the end acknowledges nothing, and its records come again only then.
func TestACallThatIgnoresItsTimeoutIsGivenUp(t *testing.T) {
	for name, late := range map[string]error{
		"nil": nil, "partial": &consumer.PartialError{Done: 1, Err: consumer.Permanent(errNo)}, "permanent": consumer.Permanent(errNo),
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(t *testing.T, w *world) {
				s, free := newSums(), make(chan struct{})
				var first atomic.Bool
				var out, goneOn atomic.Int64
				var mu sync.Mutex
				var overdue []consumer.Overdue
				cfg := w.config()
				cfg.Order = consumer.Order{By: consumer.PerKey, Workers: 1}
				cfg.Batch.Size = 2
				cfg.Failure = consumer.Failure{Timeout: 10 * time.Second, Then: consumer.Skip}
				cfg.Stop.Grace = 3 * time.Second
				cfg.Hooks.Overdue = func(e consumer.Overdue) { mu.Lock(); defer mu.Unlock(); overdue = append(overdue, e) }
				cfg.Hooks.GivenUp = func(e consumer.GivenUp) { t.Errorf("given up: %+v", e) }
				cfg.Handler = consumer.HandlerFunc(func(ctx context.Context, rs []consumer.Record) error {
					if rs[0].Key == "k0" {
						if out.Add(1) > 1 {
							t.Error("records of a call that has not returned are in another one")
						}
						defer out.Add(-1)
						if first.CompareAndSwap(false, true) {
							<-ctx.Done()
							if cause := context.Cause(ctx); !errors.Is(cause, consumer.ErrTimeout) {
								t.Errorf("the cause is %v", cause)
							}
							<-free
							return late
						}
					}
					for _, r := range rs {
						s.add(r)
					}
					goneOn.Add(1)
					return nil
				})
				w.putKeys(2, 4) // 0 and 2 of k0, 1 and 3 of k1
				w.putKeys(2, 2)
				c := w.start(cfg)
				w.until("the other key", func() bool { return s.has("1") && s.has("3") })
				<-time.After(time.Minute)
				if s.has("0") || s.has("2") {
					t.Error("what the call holds was handled")
				}
				mu.Lock()
				if len(overdue) != 1 || overdue[0].Records != 2 || overdue[0].Key != "k0" || overdue[0].Lasts != 13*time.Second {
					t.Errorf("told %+v", overdue)
				}
				mu.Unlock()
				close(free)
				w.until("what it held", func() bool { return s.has("0") && s.has("2") })
				<-time.After(time.Minute)
				c.clean()
				if len(overdue) != 1 {
					t.Errorf("told %d times", len(overdue))
				}
			})
		})
	}
}

func TestAnOverdueCallIsAbandonedAtTheDrain(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		free := make(chan struct{})
		cfg := w.config()
		cfg.Failure.Timeout = time.Second
		cfg.Stop = consumer.Stop{Drain: 10 * time.Second, Grace: time.Second}
		cfg.Handler = consumer.Each(func(context.Context, consumer.Record) error {
			<-free
			return nil
		})
		w.put(0, 2)
		c := w.start(cfg)
		<-time.After(time.Minute)
		begun := time.Now()
		if err := c.stop(); err == nil {
			t.Error("Run returned nil although a handler runs")
		}
		if d := time.Since(begun); d < 10*time.Second || d > 20*time.Second {
			t.Errorf("the stop took %v", d)
		}
		if lost := told[consumer.Lost](w); len(lost) != 1 || lost[0].Reason != consumer.ReasonAbandoned {
			t.Errorf("lost %+v", lost)
		}
		close(free)
		<-time.After(5 * time.Minute)
		c = w.start(w.config())
		w.expect(numbers(0, 2))
		c.clean()
	})
}

func TestAPanicAcknowledgesNothing(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		var once sync.Once
		s := newSums()
		cfg := w.config()
		cfg.Order.By = consumer.PerKey
		cfg.Batch.Size = 4
		cfg.Handler = consumer.HandlerFunc(func(_ context.Context, rs []consumer.Record) error {
			once.Do(func() { clear(rs); panic("odd") }) // what was lent may be changed
			for _, r := range rs {
				s.add(r)
				if r.Attempt != 2 {
					t.Errorf("attempt %d of %s", r.Attempt, r.Data)
				}
			}
			return nil
		})
		w.putEach(4)
		c := w.start(cfg)
		w.until("all", func() bool { return s.len() == 4 })
		c.clean()
		s.once(t, 4)
	})
}

// A handler that ends its goroutine costs its shard and no more: what it kept is called off at once, and its records come again.
func TestAGoexitWithKeysIsSurvived(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		s := newSums()
		var once sync.Once
		var kept *consumer.Deferred
		cfg := w.config()
		cfg.Order = consumer.Order{By: consumer.PerKey, Workers: 2}
		cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
			if r.Key == "k3" {
				once.Do(func() {
					kept = consumer.Defer(r)
					runtime.Goexit()
				})
			}
			s.add(r)
			return nil
		})
		w.putKeys(10, 100)
		begun := time.Now()
		c := w.start(cfg)
		w.until("all", func() bool { return s.len() == 100 })
		if d := time.Since(begun); d > 20*time.Second {
			t.Errorf("it took %v", d)
		}
		c.clean()
		if err := kept.Done(); !errors.Is(err, consumer.ErrLate) {
			t.Errorf("what it kept: %v", err)
		}
		s.once(t, 100)
	})
}

// A batch that waits for more is handed out when its wait is over, whatever else happens in the shard: after another batch, after a failure, and if nothing is read or stored meanwhile.
func TestABatchWaitsNoLongerThanItMay(t *testing.T) {
	inWorld(t, &memsource.Config{PageRecords: 13}, func(t *testing.T, w *world) {
		s := newSums()
		var mu sync.Mutex
		var at []time.Duration
		var sizes []int
		begun := time.Now()
		cfg := w.config()
		cfg.Checkpoint = checkpoint.Manual{}
		cfg.Batch = consumer.Batch{Size: 5, Wait: time.Second}
		cfg.Hooks.Page = func(consumer.PageRead) { w.source.Inject(memsource.Fault{Op: memsource.OpNext, Hang: true}) }
		cfg.Handler = consumer.HandlerFunc(func(_ context.Context, rs []consumer.Record) error {
			mu.Lock()
			defer mu.Unlock()
			at, sizes = append(at, time.Since(begun)), append(sizes, len(rs))
			<-time.After(100 * time.Millisecond)
			for _, r := range rs {
				s.add(r)
			}
			return nil
		})
		w.putEach(13)
		c := w.start(cfg)
		w.until("all", func() bool { return s.len() == 13 })
		c.clean()
		if !slices.Equal(sizes, []int{5, 5, 3}) || at[2]-at[1] != time.Second {
			t.Errorf("batches of %v at %v, want 5, 5, and 3 a second later", sizes, at)
		}
	})
}

func TestABatchHoldsNoMoreBytesThanItMay(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		var cs calls
		cfg := w.config()
		cfg.Order = consumer.Order{By: consumer.PerKey, Workers: 1}
		cfg.Batch = consumer.Batch{Size: 100, Bytes: 10}
		cfg.Handler = consumer.HandlerFunc(func(_ context.Context, rs []consumer.Record) error {
			if cs.note(rs); rs[0].Key == "stuck" {
				return consumer.RetryAfter(time.Hour, errNo)
			}
			return nil
		})
		for _, r := range [][2]string{{"stuck", "x"}, {"a", "12345678"}, {"b", "12345678"}, {"c", "123456789012"}, {"d", "1234"}, {"e", "123456"}, {"f", "1"}} {
			if _, _, err := w.source.Put(r[0], []byte(r[1])); err != nil {
				t.Fatal(err)
			}
		}
		c := w.start(cfg)
		<-time.After(time.Minute)
		c.clean()
		cs.are(t, "x/1 12345678/1 ", "12345678/1 ", "123456789012/1 ", "1234/1 123456/1 ", "1/1 ")
	})
}

// What waits for a write and what waits for its batch do not wake each other in turn.
func TestABatchThatWaitsForAWriteIsAtRest(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		cfg := w.config()
		cfg.Leases = slowStore{w.store}
		cfg.Order.By = consumer.PerKey
		cfg.Batch = consumer.Batch{Size: 1, Wait: time.Second}
		cfg.Checkpoint = checkpoint.EveryRecord{}
		w.put(0, 20)
		c := w.start(cfg)
		w.expect(numbers(0, 20))
		c.clean()
	})
}
