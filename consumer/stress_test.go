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
	"github.com/runnelhq/runnel/deadletter"
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
	t       *testing.T
	ordered bool
	mu      sync.Mutex
	high    map[string]int          // by key: the last value handled; values count from 1
	done    map[string]map[int]bool // by key: the values handled
	busy    map[string]string       // by shard, or key in a shard: who handles it
	epoch   map[string]uint64       // by shard: the highest that handled it
}

func newLedger(t *testing.T, ordered bool) *ledger {
	return &ledger{t: t, ordered: ordered, high: map[string]int{}, done: map[string]map[int]bool{}, busy: map[string]string{}, epoch: map[string]uint64{}}
}

// held is what nobody else may handle while a call has rs.
func (l *ledger) held(by consumer.OrderBy, rs []consumer.Record) (held []string) {
	switch by {
	case consumer.PerShard:
		held = append(held, rs[0].Shard)
	case consumer.PerKey:
		for _, r := range rs {
			held = append(held, r.Shard+" "+r.Key)
		}
	case consumer.Unordered:
	}
	slices.Sort(held)
	return slices.Compact(held)
}

func (l *ledger) begin(worker string, by consumer.OrderBy, rs []consumer.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, what := range l.held(by, rs) {
		if other := l.busy[what]; other != "" {
			l.t.Errorf("%s and %s handle %s at once", other, worker, what)
		}
		l.busy[what] = worker
	}
	if r := rs[0]; r.Epoch < l.epoch[r.Shard] {
		l.t.Errorf("%s was handled in epoch %d after %d", r.Shard, r.Epoch, l.epoch[r.Shard])
	} else {
		l.epoch[r.Shard] = r.Epoch
	}
}

func (l *ledger) end(by consumer.OrderBy, rs []consumer.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, what := range l.held(by, rs) {
		l.busy[what] = ""
	}
}

func (l *ledger) handled(key string, data []byte) error {
	n, err := strconv.Atoi(string(data))
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ordered && n > l.high[key]+1 {
		l.t.Errorf("key %s: %d came after %d", key, n, l.high[key])
	}
	l.high[key] = max(l.high[key], n)
	if l.done[key] == nil {
		l.done[key] = make(map[int]bool)
	}
	l.done[key][n] = true
	return nil
}

func (l *ledger) has(put map[string]int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, n := range put {
		if len(l.done[key]) != n {
			return false
		}
	}
	return true
}

// Put takes letters, which are as good as handled, and fails now and then.
func (s flakySink) Put(_ context.Context, ls []deadletter.Letter) error {
	for _, letter := range ls {
		if s.on() && s.n(4) == 0 {
			return errors.New("no letters today")
		}
		if err := s.handled(letter.Key, letter.Payload); err != nil {
			return err
		}
	}
	return nil
}

type flakySink struct {
	*chaos
	*ledger
}

// handler is slow now and then, fails now and then, keeps records now and then, and checks what it is given.
func (l *ledger) handler(worker string, by consumer.OrderBy, c *chaos) consumer.Handler {
	return consumer.HandlerFunc(func(ctx context.Context, rs []consumer.Record) error {
		l.begin(worker, by, rs)
		defer l.end(by, slices.Clone(rs))
		if c.n(3) == 0 {
			select {
			case <-time.After(time.Duration(c.n(800)) * time.Millisecond):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		for i, r := range rs {
			if c.on() && c.n(10) == 0 {
				l.keep(c, r.Clone(), consumer.Defer(r))
				if by != consumer.Unordered && i+1 < len(rs) { // those behind it are not to be handled before it
					return &consumer.PartialError{Done: i + 1, Err: errors.New("one is kept")}
				}
				continue
			}
			if err := l.handled(r.Key, r.Data); err != nil {
				return err
			}
			r.Checkpoint()
			if c.on() && c.n(15) == 0 {
				return []error{&consumer.PartialError{Done: i, Err: errors.New("no")}, errors.New("no"), consumer.Permanent(&consumer.PartialError{Done: i, Err: errors.New("no")})}[c.n(3)]
			}
		}
		return nil
	})
}

// keep acknowledges a record later, if at all.
func (l *ledger) keep(c *chaos, r consumer.Record, d *consumer.Deferred) {
	after, what := time.Duration(c.n(3000))*time.Millisecond, c.n(5)
	go func() {
		select {
		case <-time.After(after):
		case <-d.Flush():
		}
		switch what {
		case 0:
		case 1:
			_ = d.Fail(errors.New("no"))
		default:
			if err := l.handled(r.Key, r.Data); err != nil {
				l.t.Error(err)
			}
			_ = d.Done()
		}
	}()
}

// Workers of all orders and with all that they may do about failures come and go, the stream is split and merged, the stores and the source fail in every way at once: no record is lost, no key is
// out of order, no shard and no key is handled twice at once, and nothing stays counted.
func TestStress(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inWorld(t, &memsource.Config{Shards: 3, PageRecords: 7}, func(t *testing.T, w *world) {
				c := &chaos{rand: rand.New(rand.NewPCG(seed, 1))}
				l := newLedger(t, seed%4 != 3)
				var crew []*running
				var budgets []*consumer.Budget
				hire := func() {
					name := fmt.Sprint("w", len(crew))
					budget := consumer.NewBudget(20_000)
					budgets = append(budgets, budget)
					order := consumer.Order{By: consumer.Unordered}
					if l.ordered {
						order.By = []consumer.OrderBy{consumer.PerShard, consumer.PerKey, consumer.PerKey}[c.n(3)]
					}
					if order.By != consumer.PerShard {
						order.Workers, order.ShardWorkers = c.n(4), c.n(3)
					}
					crew = append(crew, w.start(consumer.Config{
						Name: "app", Worker: name, Source: w.source, Leases: flakyStore{w.store, c}, Handler: l.handler(name, order.By, c), Order: order,
						Checkpoint: []checkpoint.Strategy{checkpoint.EveryRecord{}, checkpoint.EveryN(5), checkpoint.Every(2 * time.Second), checkpoint.Manual{}}[c.n(4)],
						Batch:      consumer.Batch{Size: 1 + c.n(6), Wait: time.Duration(c.n(2)*c.n(1000)) * time.Millisecond, Bytes: int64(c.n(2) * c.n(10))},
						Stop:       consumer.Stop{Drain: 3 * time.Second, Grace: 2 * time.Second},
						Failure: consumer.Failure{
							MaxBackoff: time.Second, MaxAttempts: c.n(3), Split: consumer.Split(c.n(3)), Timeout: time.Duration(c.n(2)*c.n(1000)) * time.Millisecond,
							AckWithin: 2 * time.Second, Then: []consumer.Then{consumer.Block, consumer.DeadLetter}[c.n(2)], Letters: flakySink{c, l},
						},
						Flow: consumer.Flow{Budget: budget, Records: 1 + c.n(20)},
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
