package consumer_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/memsource"
	"github.com/runnelhq/runnel/lease"
)

// limiter is a Limiter as a function.
type limiter func(ctx context.Context, records int) error

func (l limiter) Wait(ctx context.Context, records int) error { return l(ctx, records) }

func TestALimiterThatFailsIsAskedAgain(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		var asked atomic.Int64
		cfg := w.config()
		cfg.Flow.Limiter = limiter(func(_ context.Context, n int) error {
			if n != 1 {
				t.Errorf("asked for %d records", n)
			}
			if asked.Add(1) <= 3 {
				return errNo
			}
			return nil
		})
		cfg.Hooks.Retried = func(e consumer.Retried) { t.Errorf("retried: %+v", e) }
		w.put(0, 3)
		begun := time.Now()
		c := w.start(cfg)
		w.until("all", func() bool { return len(w.values()) == 3 })
		if d := time.Since(begun); d < 3*time.Second || d > 5*time.Second {
			t.Errorf("it took %v, want a second for each refusal", d)
		}
		c.clean()
		if errs := told[consumer.Failed](w); len(errs) != 3 || !errors.Is(errs[0].Err, errNo) {
			t.Errorf("told %v", errs)
		}
		for _, r := range w.seen {
			if r.Attempt != 1 {
				t.Errorf("%s: attempt %d", r.Data, r.Attempt)
			}
		}
	})
}

// A call that waits for its limiter is not stuck, and one behind it is.
func TestTheWatchdogDoesNotCountTheWaitForALimiter(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		var stuck atomic.Bool
		cfg := w.config()
		cfg.Timing = lease.Timing{Watchdog: 20 * time.Second}
		cfg.Flow.Limiter = limiter(func(ctx context.Context, _ int) error {
			select {
			case <-time.After(time.Minute):
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
		cfg.Handler = consumer.Each(func(ctx context.Context, r consumer.Record) error {
			if string(r.Data) == "2" && stuck.CompareAndSwap(false, true) {
				<-ctx.Done()
				return context.Cause(ctx)
			}
			w.saw(r)
			return nil
		})
		w.put(0, 2)
		c := w.start(cfg)
		w.expect(numbers(0, 2))
		if lost := told[consumer.Lost](w); len(lost) != 0 {
			t.Errorf("lost while it waited: %+v", lost)
		}
		w.put(2, 3)
		w.expect(numbers(0, 3))
		if lost := told[consumer.Lost](w); len(lost) != 1 || lost[0].Reason != consumer.ReasonStuck {
			t.Errorf("lost %+v, want once, stuck", lost)
		}
		c.clean()
	})
}

// fuse is a Breaker that a test opens and closes, and that counts.
type fuse struct {
	open                     atomic.Bool
	asked, granted, recorded atomic.Int64
	blow                     func(err error) bool // opens it
}

func (f *fuse) Permit() time.Duration {
	f.asked.Add(1)
	if f.Open() {
		return time.Second
	}
	f.granted.Add(1)
	return 0
}

func (f *fuse) Record(err error) {
	f.recorded.Add(1)
	if f.blow != nil && f.blow(err) {
		f.open.Store(true)
	}
}

func (f *fuse) Open() bool { return f.open.Load() }

func TestAnOpenBreakerStopsCallsAndReadingAndSpendsNoAttempt(t *testing.T) {
	inWorld(t, &memsource.Config{PageRecords: 5}, func(t *testing.T, w *world) {
		var down atomic.Bool
		var tried, pages atomic.Int64
		f := &fuse{blow: func(err error) bool { return errors.Is(err, errNo) }}
		s := newSums()
		cfg := w.config()
		cfg.Order = consumer.Order{By: consumer.PerKey, Workers: 4}
		cfg.Flow.Breaker = f
		cfg.Failure = consumer.Failure{MaxAttempts: 1, Then: consumer.Skip}
		cfg.Hooks.GivenUp = func(e consumer.GivenUp) { t.Errorf("given up: %+v", e) }
		cfg.Hooks.Page = func(e consumer.PageRead) {
			if e.Records > 0 {
				pages.Add(1)
			}
		}
		cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
			tried.Add(1)
			if r.Attempt != 1 {
				t.Errorf("%s: attempt %d", r.Data, r.Attempt)
			}
			if down.Load() {
				return errNo
			}
			s.add(r)
			return nil
		})
		w.putKeys(10, 50)
		c := w.start(cfg)
		w.until("all", func() bool { return s.len() == 50 })
		down.Store(true)
		for _, data := range numbers(50, 100) {
			if _, _, err := w.source.Put("k"+data[1:], []byte(data)); err != nil {
				t.Fatal(err)
			}
		}
		w.until("the breaker", f.Open)
		<-time.After(10 * time.Second)
		calls, read := tried.Load(), pages.Load()
		<-time.After(30 * time.Second)
		if tried.Load() != calls || pages.Load() != read {
			t.Errorf("%d calls and %d reads while the breaker is open", tried.Load()-calls, pages.Load()-read)
		}
		for i := range 5 { // probes that fail
			f.open.Store(false)
			w.until("a probe that fails", f.Open)
			if i == 2 {
				<-time.After(30 * time.Second)
			}
		}
		down.Store(false)
		f.open.Store(false)
		w.until("the rest", func() bool { return s.len() == 100 })
		c.clean()
		s.once(t, 100)
		if f.granted.Load() != f.recorded.Load() {
			t.Errorf("%d calls were granted, and %d recorded", f.granted.Load(), f.recorded.Load())
		}
	})
}

func TestABreakerHearsOfAHandlerThatEndsItsGoroutine(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		f := &fuse{}
		var once sync.Once
		cfg := w.config()
		cfg.Flow.Breaker = f
		cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
			once.Do(runtime.Goexit)
			w.saw(r)
			return nil
		})
		w.put(0, 1)
		c := w.start(cfg)
		w.expect(numbers(0, 1))
		c.clean()
		if f.granted.Load() != 2 || f.recorded.Load() != 2 {
			t.Errorf("%d calls were granted, and %d recorded", f.granted.Load(), f.recorded.Load())
		}
	})
}

func TestAPauseStopsReadingAndCallsAndNotWhatIsUnderWay(t *testing.T) {
	inWorld(t, &memsource.Config{Shards: 2}, func(t *testing.T, w *world) {
		shards := w.source.OpenShards()
		free := make(chan struct{})
		cfg := w.config()
		cfg.Order = consumer.Order{By: consumer.PerKey}
		cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
			if string(r.Data) == "0" {
				<-free
			}
			w.saw(r)
			return nil
		})
		c := w.start(cfg)
		c.Pause() // before anything
		w.until("both shards", func() bool { return len(c.Status().Shards) == 2 })
		w.putTo(shards[0], 0, 3)
		w.putTo(shards[1], 0, 1)
		<-time.After(time.Minute)
		if st := c.Status().Shards; len(w.values()) != 0 || st[0].InFlight != 0 || !st[0].Paused || !st[1].Paused {
			t.Errorf("while all is paused: handled %v, status %+v", w.values(), st)
		}
		c.Resume(shards[0])
		w.until("a record in hand", func() bool { return c.Status().Shards[0].InFlight == 3 })
		<-time.After(time.Second)
		c.Pause(shards[0])
		close(free)
		w.until("it is done", func() bool { return len(w.values()) == 1 })
		<-time.After(time.Minute)
		if got := w.of(shards[0]); !slices.Equal(got, numbers(0, 1)) {
			t.Errorf("handled %v while paused", got)
		}
		if st := c.Status().Shards[0]; st.Stored != st.Handled || st.Handled.IsZero() {
			t.Errorf("the position is not stored in a pause: %+v", st)
		}
		c.Resume()
		w.until("all", func() bool { return len(w.values()) == 4 })
		c.Pause()
		c.clean()
	})
}

func TestAConsumerMayBePausedBeforeRunAndStopped(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		cfg := w.config()
		w.put(0, 2)
		shard := w.source.OpenShards()[0]
		c, err := consumer.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		c.Pause(shard)
		for range 2 { // Run again after Run
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if err := c.Run(ctx); err != nil {
				t.Error(err)
			}
			cancel()
			if len(w.values()) != 0 {
				t.Errorf("handled %v while paused", w.values())
			}
		}
		c.Resume(shard)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := c.Run(ctx); err != nil {
			t.Error(err)
		}
		if got := w.values(); !slices.Equal(got, numbers(0, 2)) {
			t.Errorf("handled %v", got)
		}
	})
}
