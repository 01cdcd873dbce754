package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/memsource"
	"github.com/runnelhq/runnel/lease"
)

// chaos is a seeded source of trouble that can be ended.
type chaos struct {
	mu   sync.Mutex
	rand *rand.Rand
	over bool
}

func (c *chaos) n(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rand.IntN(n)
}

func (c *chaos) on() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.over
}

func (c *chaos) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
}

// flakyStore loses answers, refuses and delays calls.
type flakyStore struct {
	lease.Store
	*chaos
}

func (s flakyStore) Put(ctx context.Context, rows []lease.Row) []error {
	if !s.on() {
		return s.Store.Put(ctx, rows)
	}
	switch s.n(10) {
	case 0:
		s.Store.Put(ctx, rows)
		return slices.Repeat([]error{errors.New("the answer was lost")}, len(rows))
	case 1:
		return slices.Repeat([]error{errors.New("refused")}, len(rows))
	case 2:
		<-time.After(time.Duration(s.n(1500)) * time.Millisecond)
	}
	return s.Store.Put(ctx, rows)
}

func (s flakyStore) Get(ctx context.Context, keys []string) ([]lease.Row, error) {
	if s.on() && s.n(20) == 0 {
		return nil, errors.New("refused")
	}
	return s.Store.Get(ctx, keys)
}

// ledger is what the handlers of all workers did, held against the invariants.
type ledger struct {
	t     *testing.T
	mu    sync.Mutex
	high  map[string]int    // by key: the last value handled; values count from 1
	busy  map[string]string // by shard: who handles it
	epoch map[string]uint64 // by shard: the highest that handled it
}

func (l *ledger) begin(worker string, r consumer.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if other := l.busy[r.Shard]; other != "" {
		l.t.Errorf("%s and %s handle %s at once", other, worker, r.Shard)
	}
	l.busy[r.Shard] = worker
	if r.Epoch < l.epoch[r.Shard] {
		l.t.Errorf("%s was handled in epoch %d after %d", r.Shard, r.Epoch, l.epoch[r.Shard])
	}
	l.epoch[r.Shard] = r.Epoch
}

func (l *ledger) end(shard string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy[shard] = ""
}

func (l *ledger) handled(r consumer.Record) error {
	n, err := strconv.Atoi(string(r.Data))
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n > l.high[r.Key]+1 {
		l.t.Errorf("key %s: %d came after %d", r.Key, n, l.high[r.Key])
	}
	l.high[r.Key] = max(l.high[r.Key], n)
	return nil
}

func (l *ledger) has(put map[string]int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, n := range put {
		if l.high[key] != n {
			return false
		}
	}
	return true
}

// handler is slow now and then, fails now and then, and checks what it is given.
func (l *ledger) handler(worker string, c *chaos) consumer.Handler {
	return consumer.HandlerFunc(func(ctx context.Context, rs []consumer.Record) error {
		l.begin(worker, rs[0])
		defer l.end(rs[0].Shard)
		if c.n(3) == 0 {
			select {
			case <-time.After(time.Duration(c.n(800)) * time.Millisecond):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		for i, r := range rs {
			if err := l.handled(r); err != nil {
				return err
			}
			r.Checkpoint()
			if c.on() && c.n(15) == 0 {
				return &consumer.PartialError{Done: i, Err: errors.New("no")}
			}
		}
		return nil
	})
}

// Workers come and go, the stream is split and merged, the store and the source fail in every way at once: no record is lost, no key is out of order,
// no shard is handled twice at once, and nothing stays counted.
func TestStress(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inWorld(t, &memsource.Config{Shards: 3, PageRecords: 7}, func(t *testing.T, w *world) {
				c := &chaos{rand: rand.New(rand.NewPCG(seed, 1))}
				l := &ledger{t: t, high: map[string]int{}, busy: map[string]string{}, epoch: map[string]uint64{}}
				var crew []*running
				var budgets []*consumer.Budget
				hire := func() {
					name := fmt.Sprint("w", len(crew))
					budget := consumer.NewBudget(20_000)
					budgets = append(budgets, budget)
					crew = append(crew, w.start(consumer.Config{
						Name: "app", Worker: name, Source: w.source, Leases: flakyStore{w.store, c}, Handler: l.handler(name, c),
						Checkpoint: []checkpoint.Strategy{checkpoint.EveryRecord{}, checkpoint.EveryN(5), checkpoint.Every(2 * time.Second), checkpoint.Manual{}}[c.n(4)],
						Batch:      consumer.Batch{Size: 1 + c.n(6)},
						Stop:       consumer.Stop{Drain: 3 * time.Second, Grace: 2 * time.Second},
						Failure:    consumer.Failure{MaxBackoff: time.Second},
						Flow:       consumer.Flow{Budget: budget, Records: 1 + c.n(20)},
					}))
				}
				hire()
				hire()
				put := map[string]int{}
				for range 400 {
					for range c.n(8) {
						key := fmt.Sprint("k", c.n(12))
						put[key]++
						if _, _, err := w.source.Put(key, []byte(strconv.Itoa(put[key]))); err != nil {
							t.Fatal(err)
						}
					}
					w.trouble(c, crew, hire)
					<-time.After(time.Duration(c.n(1000)) * time.Millisecond)
				}
				c.end()
				hire()
				w.until("every record", func() bool { return l.has(put) })
				for _, r := range crew {
					_ = r.stop() // what a cut store leaves unsaid is not the point
				}
				for i, b := range budgets {
					if b.Used() != 0 {
						t.Errorf("worker %d: %d bytes are still counted", i, b.Used())
					}
				}
			})
		})
	}
}

// trouble does one thing that may go wrong, or none.
func (w *world) trouble(c *chaos, crew []*running, hire func()) {
	w.t.Helper()
	open := w.source.OpenShards()
	var err error
	switch c.n(30) {
	case 0:
		hire()
	case 1:
		_ = crew[c.n(len(crew))].stop()
	case 2:
		_, _, err = w.source.Split(open[c.n(len(open))])
	case 3:
		if len(open) > 2 {
			_, err = w.source.Merge(open[0], open[1+c.n(len(open)-1)])
		}
	case 4:
		op := []memsource.Op{memsource.OpNext, memsource.OpOpen, memsource.OpShards}[c.n(3)]
		w.source.Inject(memsource.Fault{Op: op, Err: errors.New("no"), Times: 1 + c.n(5)})
	case 5:
		w.source.Inject(memsource.Fault{Op: memsource.OpNext, Hide: memsource.HideAll, Times: 1})
	case 6:
		w.source.Inject(memsource.Fault{Op: memsource.OpNext, Expire: true, Times: 1 + c.n(4)})
	case 7:
		w.store.cut.Store(true)
		<-time.After(time.Duration(c.n(15)) * time.Second)
		w.store.cut.Store(false)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}
