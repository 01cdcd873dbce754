package consumer_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/memsource"
	"github.com/runnelhq/runnel/lease"
)

// rowStore refuses writes of rows that bad names.
type rowStore struct {
	lease.Store
	bad atomic.Pointer[func(lease.Row) bool]
}

var errRow = errors.New("this row cannot be written")

func (s *rowStore) set(f func(lease.Row) bool) { s.bad.Store(&f) }

func (s *rowStore) Put(ctx context.Context, rows []lease.Row) []error {
	out := make([]error, len(rows))
	for i, r := range rows {
		if f := s.bad.Load(); f != nil && (*f)(r) {
			out[i] = errRow
			continue
		}
		if e := s.Store.Put(ctx, []lease.Row{r}); e != nil {
			out[i] = e[0]
		}
	}
	return out
}

func isShard(r lease.Row) bool { return strings.Contains(r.Key, "/S/") }

// stopsWithin cancels and reports whether Run returned within d of virtual time; then it heals.
func (r *running) stopsWithin(d time.Duration, heal func()) bool {
	r.cancel()
	began := time.Now()
	select {
	case <-r.ended:
		r.w.t.Logf("Run returned %v after %v", r.err, time.Since(began))
		return true
	case <-time.After(d):
	}
	heal()
	<-r.ended
	return false
}

// A store may refuse one row and take heartbeats: the session lives, and nothing else ends the wait for that row.
func TestHazard19_ShutdownWithAPositionThatCannotBeStored(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		st := &rowStore{Store: w.store}
		cfg := w.config()
		cfg.Leases = st
		c := w.start(cfg)
		w.put(0, 1)
		w.until("1", func() bool { return len(w.values()) == 1 })
		st.set(isShard)
		w.put(1, 3)
		w.until("2", func() bool { return len(w.values()) == 2 })
		if !c.stopsWithin(10*time.Minute, func() { st.set(func(lease.Row) bool { return false }) }) {
			t.Error("Run hangs")
		}
	})
}

// A write that is under way when the shard is given up is waited for: the release comes after it.
func TestAStopWaitsForTheWriteUnderWay(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		st := &singleStore{Store: w.store}
		cfg := w.config()
		cfg.Leases = st
		w.put(0, 20)
		c := w.start(cfg)
		w.until("3", func() bool { return len(w.values()) == 3 })
		c.clean()
		if st.overlaps.Load() > 0 {
			t.Errorf("%d writes of a shard's row began while another one was under way", st.overlaps.Load())
		}
		n := len(w.values())
		c = w.start(w.config())
		w.expect(numbers(0, 20))
		if n == 20 {
			t.Error("it stopped after the last record: nothing was tested")
		}
		c.clean()
	})
}

// singleStore takes a second for each write of a shard, and counts those that begin before the one before has ended.
type singleStore struct {
	lease.Store
	writing, overlaps atomic.Int32
}

func (s *singleStore) Put(ctx context.Context, rows []lease.Row) []error {
	if !slices.ContainsFunc(rows, isShard) {
		return s.Store.Put(ctx, rows)
	}
	if s.writing.Add(1) > 1 {
		s.overlaps.Add(1)
	}
	defer s.writing.Add(-1)
	select {
	case <-time.After(time.Second):
		return s.Store.Put(ctx, rows)
	case <-ctx.Done():
		return slices.Repeat([]error{context.Cause(ctx)}, len(rows))
	}
}

func TestHazard19_ShutdownWithAnEndThatCannotBeStored(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		st := &rowStore{Store: w.store}
		cfg := w.config()
		cfg.Leases = st
		c := w.start(cfg)
		w.put(0, 1)
		w.until("1", func() bool { return len(w.values()) == 1 && !w.storedAt(w.source.OpenShards()[0]).IsZero() })
		st.set(func(r lease.Row) bool { return strings.Contains(string(r.Value), `"ended"`) })
		if _, err := w.source.Roll(w.source.OpenShards()[0]); err != nil {
			t.Fatal(err)
		}
		<-time.After(5 * time.Second)
		if !c.stopsWithin(10*time.Minute, func() { st.set(func(lease.Row) bool { return false }) }) {
			t.Error("Run hangs")
		}
	})
}

func TestHazard19_ShutdownWithAChildWhoseRowIsCorrupt(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		st := &rowStore{Store: w.store}
		cfg := w.config()
		cfg.Leases = st
		c := w.start(cfg)
		w.put(0, 1)
		parent := w.source.OpenShards()[0]
		w.until("1", func() bool { return len(w.values()) == 1 && !w.storedAt(parent).IsZero() })
		var key string
		for r, err := range w.store.List(t.Context(), "app/S/mem:orders:1/", "") {
			if err != nil {
				t.Fatal(err)
			}
			key = strings.Replace(r.Key, "000000000000", "000000000001", 1)
		}
		if errs := w.store.Put(t.Context(), []lease.Row{{Key: key, Value: []byte(`{"state":"?"}`)}}); errs != nil {
			t.Fatal(key, errs)
		}
		if _, err := w.source.Roll(parent); err != nil {
			t.Fatal(err)
		}
		<-time.After(5 * time.Second)
		if !c.stopsWithin(10*time.Minute, func() {
			rows, err := w.store.Get(t.Context(), []string{key})
			if err != nil {
				t.Fatal(err)
			}
			w.store.Delete(t.Context(), rows)
		}) {
			t.Error("Run hangs")
		}
	})
}

func TestRunSaysWhatItCouldNotStore(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		st := &rowStore{Store: w.store}
		cfg := w.config()
		cfg.Leases, cfg.Checkpoint = st, checkpoint.Manual{}
		c := w.start(cfg)
		w.put(0, 5)
		w.until("5", func() bool { return len(w.values()) == 5 })
		st.set(isShard)
		c.stopsWithin(10*time.Minute, func() {})
		if c.err == nil {
			t.Error("Run returned nil although the last position was not stored and the shard not released")
		}
	})
}

func TestShutdownDoesNotWaitForAListing(t *testing.T) {
	for _, list := range []time.Duration{0, time.Hour} {
		inWorld(t, nil, func(t *testing.T, w *world) {
			cfg := w.config()
			cfg.Timing.List = list
			if list > 0 {
				w.source.Inject(memsource.Fault{Op: memsource.OpShards, Hang: true})
			}
			c := w.start(cfg)
			<-time.After(20 * time.Second)
			lift := w.source.Inject(memsource.Fault{Op: memsource.OpShards, Hang: true})
			<-time.After(15 * time.Second)
			began := time.Now()
			c.clean()
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("List %v: an idle consumer took %v to stop", list, took)
			}
			lift()
		})
	}
}

// Never two handlers at once for a shard, even when the first ignored the end of an earlier Run.
func TestRunAgainUnderARunningHandler(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		cfg := w.config()
		var in, most atomic.Int64
		free := make(chan struct{})
		cfg.Handler = consumer.Each(func(context.Context, consumer.Record) error {
			most.Store(max(most.Load(), in.Add(1)))
			<-free
			in.Add(-1)
			return nil
		})
		w.put(0, 1)
		c, err := consumer.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			err := c.Run(ctx)
			cancel()
			if !errors.Is(err, lease.ErrRunning) {
				t.Errorf("Run returned %v, want ErrRunning", err)
			}
		}
		close(free)
		synctest.Wait()
		if most.Load() > 1 {
			t.Errorf("%d handlers at once for one shard", most.Load())
		}
	})
}

func TestAStopDuringARestartIsClean(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		cfg := w.config()
		cfg.Handler = consumer.Each(func(ctx context.Context, r consumer.Record) error {
			w.saw(r)
			<-time.After(20 * time.Second)
			return nil
		})
		w.put(0, 1)
		c := w.start(cfg)
		w.until("1", func() bool { return len(w.values()) == 1 })
		w.source.Inject(memsource.Fault{Op: memsource.OpNext, Err: consumer.ErrNoStream, Times: 1})
		<-time.After(5 * time.Second)
		c.clean()
	})
}

func TestAStoreThatIsAwayAtTheStartIsWaitedFor(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		cfg := w.config()
		back := time.Now().Add(30 * time.Second)
		cfg.Leases = setupStore{w.store, func() error {
			if time.Now().Before(back) {
				return errCut
			}
			return nil
		}}
		c := w.start(cfg)
		began := time.Now()
		select {
		case <-c.ended:
			t.Errorf("Run gave up after %v: %v", time.Since(began), c.err)
		case <-time.After(time.Minute):
		}
	})
}

// What could not be stored is said, also when Run was about to begin anew.
func TestAStopDuringARestartSaysWhatItCouldNotStore(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		st := &rowStore{Store: w.store}
		cfg := w.config()
		cfg.Leases, cfg.Checkpoint = st, checkpoint.Manual{}
		c := w.start(cfg)
		w.put(0, 5)
		w.until("5", func() bool { return len(w.values()) == 5 })
		st.set(isShard)
		w.source.Delete()
		<-time.After(time.Second)
		if err := c.stop(); err == nil || !strings.Contains(err.Error(), "may not be stored") {
			t.Errorf("Run returned %v, want what it could not store", err)
		}

		w.source.Inject(memsource.Fault{Op: memsource.OpStream, Err: consumer.ErrDenied})
		if err := c.Consumer.Run(t.Context()); !errors.Is(err, consumer.ErrDenied) || strings.Contains(err.Error(), "may not be stored") {
			t.Errorf("the next Run returned %v, want only why it did not begin", err)
		}
	})
}
