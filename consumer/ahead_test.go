package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/memsource"
)

var errNo = errors.New("no")

// sums counts how often the handler succeeded with each record.
type sums struct {
	mu   sync.Mutex
	done map[string]int
}

func newSums() *sums { return &sums{done: make(map[string]int)} }

func (s *sums) add(r consumer.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done[string(r.Data)]++
}

func (s *sums) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.done)
}

func (s *sums) has(v string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.done[v] > 0
}

// once fails the test unless the records 0…n-1 were done once each.
func (s *sums) once(t *testing.T, n int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range n {
		if got := s.done[strconv.Itoa(i)]; got != 1 {
			t.Errorf("record %d was done %d times", i, got)
		}
	}
}

// The first key fails through several clean stops, some of them while what was done behind it has been read again only in part: nothing that is done is repeated, whatever the checkpoint strategy.
func TestCleanStopsRepeatNothingBehindAFailingKey(t *testing.T) {
	for name, strategy := range map[string]checkpoint.Strategy{
		"EveryRecord": checkpoint.EveryRecord{}, "EveryN": checkpoint.EveryN(7), "Every": checkpoint.Every(2 * time.Second), "Manual": checkpoint.Manual{},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, &memsource.Config{PageRecords: 6}, func(t *testing.T, w *world) {
				s := newSums()
				var mended atomic.Bool
				cfg := w.config()
				cfg.Checkpoint = strategy
				cfg.Order.By = consumer.PerKey
				cfg.Filter = func(r consumer.Record) bool { return r.Key != "k4" }
				cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
					if r.Key == "k0" && !mended.Load() {
						return errNo
					}
					s.add(r)
					return nil
				})
				w.putKeys(5, 100)
				c := w.start(cfg)
				w.until("the others", func() bool { return s.len() == 60 })
				c.clean()

				for range 3 { // the source answers so slowly that only a part is read again
					lift := w.source.Inject(memsource.Fault{Op: memsource.OpNext, Delay: time.Second})
					var pages atomic.Int64
					again := cfg
					again.Hooks.Page = func(consumer.PageRead) { pages.Add(1) }
					c = w.start(again)
					w.until("two pages", func() bool { return pages.Load() == 2 })
					c.clean()
					lift()
				}
				mended.Store(true)
				c = w.start(cfg)
				w.until("all", func() bool { return s.len() == 80 })
				<-time.After(time.Minute)
				c.clean()
				for i := range 100 {
					want := 1
					if i%5 == 4 {
						want = 0
					}
					if got := s.done[strconv.Itoa(i)]; got != want {
						t.Errorf("record %d was done %d times, want %d", i, got, want)
					}
				}
			})
		})
	}
}

// What is done behind a position is told by numbers that count from the first record: if that is another one, they must not be used, also if nobody but the filter looks at it.
func TestWhatIsDoneBehindAPositionIsForgottenIfTheFirstRecordIsAnother(t *testing.T) {
	for _, filtered := range []bool{false, true} {
		t.Run(fmt.Sprint("filtered ", filtered), func(t *testing.T) {
			inWorld(t, nil, func(t *testing.T, w *world) {
				s := newSums()
				cfg := w.config()
				cfg.Order.By = consumer.PerKey
				cfg.Filter = func(r consumer.Record) bool { return !filtered || r.Key != "k1" }
				failing := map[string]bool{"k0": true, "k3": true}
				cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
					if failing[r.Key] {
						return errNo
					}
					s.add(r)
					return nil
				})
				shard := w.source.OpenShards()[0]
				ps := w.putEach(10)
				c := w.start(cfg)
				done := 8
				if filtered {
					done = 7
				}
				w.until("the others", func() bool { return s.len() == done })
				c.clean()
				if err := w.source.Trim(shard, ps[0]); err != nil {
					t.Fatal(err)
				}
				cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
					s.add(r)
					return nil
				})
				c = w.start(cfg)
				w.until("the one that failed, and is held yet", func() bool { return s.has("3") })
				c.clean()
			})
		})
	}
}

// putEach adds n records, each with a key of its own, and gives their positions.
func (w *world) putEach(n int) []checkpoint.Position {
	w.t.Helper()
	var ps []checkpoint.Position
	for i := range n {
		_, p, err := w.source.Put("k"+strconv.Itoa(i), []byte(strconv.Itoa(i)))
		if err != nil {
			w.t.Fatal(err)
		}
		ps = append(ps, p)
	}
	return ps
}

// A handler's wish for a checkpoint is met by one write, also while nobody knows the position because what is done behind it has not been read again.
func TestAWishForACheckpointIsMetOnceWhileItIsReadAgain(t *testing.T) {
	inWorld(t, &memsource.Config{PageRecords: 3}, func(t *testing.T, w *world) {
		s := newSums()
		var mended atomic.Bool
		cfg := w.config()
		cfg.Checkpoint = checkpoint.Manual{}
		cfg.Order.By = consumer.PerKey
		cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
			if r.Key == "k0" && !mended.Load() {
				return errNo
			}
			s.add(r)
			r.Checkpoint()
			return nil
		})
		w.putEach(9)
		c := w.start(cfg)
		w.until("the others", func() bool { return s.len() == 8 })
		c.clean()

		mended.Store(true)
		var writes, pages atomic.Int64
		cfg.Hooks.Checkpointed = func(consumer.Checkpointed) { writes.Add(1) }
		cfg.Hooks.Page = func(consumer.PageRead) {
			if pages.Add(1) == 1 {
				w.source.Inject(memsource.Fault{Op: memsource.OpNext, Hang: true})
			}
		}
		counted := &countedStore{Store: w.store}
		cfg.Leases = counted
		c = w.start(cfg)
		w.until("the first", func() bool { return s.len() == 9 })
		before := counted.puts.Load()
		<-time.After(10 * time.Second)
		if n := counted.puts.Load() - before; n > 10 {
			t.Errorf("%d writes in 10 s while nothing happens", n)
		}
		c.clean()
		s.once(t, 9)
	})
}

// A key goes on in the children only after the parent's last record is done, and keys that are done in the parent are not repeated there.
func TestASplitWaitsForAFailingKeyOfTheParent(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		s := newSums()
		var mended atomic.Bool
		var mu sync.Mutex
		var order []string
		cfg := w.config()
		cfg.Order.By = consumer.PerKey
		cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
			if r.Key == "k2" && !mended.Load() {
				return errNo
			}
			s.add(r)
			mu.Lock()
			defer mu.Unlock()
			order = append(order, r.Key+" "+r.Shard)
			return nil
		})
		parent := w.source.OpenShards()[0]
		w.putKeys(4, 20)
		if _, _, err := w.source.Split(parent); err != nil {
			t.Fatal(err)
		}
		for i := 20; i < 40; i++ {
			if _, _, err := w.source.Put("k"+strconv.Itoa(i%4), []byte(strconv.Itoa(i))); err != nil {
				t.Fatal(err)
			}
		}
		c := w.start(cfg)
		w.until("the others of the parent", func() bool { return s.len() == 15 })
		<-time.After(time.Minute)
		if s.len() != 15 {
			t.Errorf("%d records are done before the parent is", s.len())
		}
		c.clean()
		mended.Store(true)
		c = w.start(cfg)
		w.until("all", func() bool { return s.len() == 40 })
		<-time.After(time.Minute)
		c.clean()
		s.once(t, 40)
		last := slices.IndexFunc(order, func(o string) bool { return !strings.HasSuffix(o, " "+parent) })
		if n := slices.IndexFunc(order[last:], func(o string) bool { return strings.HasSuffix(o, " "+parent) }); n >= 0 {
			t.Errorf("a record of the parent came after one of a child: %v", order)
		}
	})
}
