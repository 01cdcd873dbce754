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
	"github.com/runnelhq/runnel/deadletter/memletters"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/memdedup"
)

// troubledSink is late, down or in doubt now and then, and panics.
type troubledSink struct {
	*memdedup.Sink
	*chaos
}

func (s troubledSink) call(f func() error) error {
	if !s.on() {
		return f()
	}
	switch s.n(20) {
	case 0:
		return fmt.Errorf("%w: nobody answers", dedup.ErrUnavailable)
	case 1:
		return errors.Join(dedup.ErrUnsettled, ignored(f()))
	case 2:
		return dedup.ErrUnsettled
	case 3:
		<-time.After(time.Duration(s.n(3000)) * time.Millisecond)
	case 4:
		if s.n(4) == 0 {
			panic("the driver of the sink has a fault")
		}
	case 5:
		err := f()
		<-time.After(time.Duration(s.n(3000)) * time.Millisecond)
		return err
	}
	return f()
}

func ignored(error) error { return nil }

func (s troubledSink) Seal(ctx context.Context, m dedup.Mark) (low checkpoint.Position, err error) {
	err = s.call(func() (err error) {
		low, err = s.Sink.Seal(ctx, m)
		return err
	})
	return low, err
}

func (s troubledSink) Advance(ctx context.Context, m dedup.Mark) error {
	return s.call(func() error { return s.Sink.Advance(ctx, m) })
}

func (s troubledSink) Bury(ctx context.Context, ms []dedup.Mark) error {
	return s.call(func() error { return s.Sink.Bury(ctx, ms) })
}

func (s troubledSink) Apply(ctx context.Context, ms []dedup.Mark, f func(*memdedup.Tx, []int) error) error {
	return s.call(func() error { return s.Sink.Apply(ctx, ms, f) })
}

// troubledLetters fail now and then, before and behind the write.
type troubledLetters struct {
	*memletters.Store
	*chaos
}

func (s troubledLetters) call(f func() error) error {
	if !s.on() {
		return f()
	}
	switch s.n(10) {
	case 0:
		return errNo
	case 1:
		return errors.Join(errNo, ignored(f()))
	case 2:
		<-time.After(time.Duration(s.n(2000)) * time.Millisecond)
	}
	return f()
}

func (s troubledLetters) Put(ctx context.Context, ls []deadletter.Letter) error {
	return s.call(func() error { return s.Store.Put(ctx, ls) })
}

func (s troubledLetters) Park(ctx context.Context, ls []deadletter.Letter, open bool) error {
	return s.call(func() error { return s.Store.Park(ctx, ls, open) })
}

func (s troubledLetters) Settle(ctx context.Context, c deadletter.Claim, id string, failed *deadletter.Failure) error {
	return s.call(func() error { return s.Store.Settle(ctx, c, id, failed) })
}

// account is what effects there shall be, and what was done in place of some.
type account struct {
	t       *testing.T
	by      consumer.OrderBy
	then    consumer.Then
	stream  string
	db      *memdedup.Sink
	letters *memletters.Store

	mu      sync.Mutex
	put     map[string]int       // by key: the last value; values count from 1
	values  map[string][2]string // by shard and position: name, and key
	skipped map[string]bool      // by name
}

func newAccount(t *testing.T, seed uint64) *account {
	a := &account{
		t: t, by: consumer.OrderBy(seed % 3), then: []consumer.Then{consumer.DeadLetter, consumer.Block, consumer.ParkKey, consumer.Skip}[seed/3%4],
		db: memdedup.New(), letters: memletters.New(), put: map[string]int{}, values: map[string][2]string{}, skipped: map[string]bool{},
	}
	if a.then == consumer.ParkKey && a.by != consumer.PerKey {
		a.then = consumer.DeadLetter
	}
	return a
}

func (a *account) add(w *world, key string) {
	a.t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.put[key]++
	n := strconv.Itoa(a.put[key])
	shard, p, err := w.source.Put(key, []byte(n))
	if err != nil {
		a.t.Fatal(err)
	}
	a.values[shard+" "+p.Sort()] = [2]string{key + " " + n, key}
}

func (a *account) givenUp(e consumer.GivenUp) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.then == consumer.Skip {
		a.skipped[a.values[e.Shard+" "+e.Position.Sort()][0]] = true
	}
}

// apply is the effect of a record: its value is counted, and comes behind those before it.
func (a *account) apply(tx *memdedup.Tx, r consumer.Record) {
	count(tx, r.Key+" "+string(r.Data))
	if a.by == consumer.Unordered || r.Redriven && a.then != consumer.ParkKey {
		return
	}
	text, _ := tx.Get("last " + r.Key)
	last, n := int(number(text)), int(number(r.Data))
	if n <= last || n > last+1 && (a.then == consumer.Block || a.then == consumer.ParkKey) {
		a.t.Errorf("key %s: %d came after %d", r.Key, n, last)
	}
	tx.Set("last "+r.Key, r.Data)
}

func number(text []byte) int64 {
	n, _ := strconv.ParseInt(string(text), 10, 64)
	return n
}

// settled tells whether each value is applied, or a letter or skipped.
func (a *account) settled() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	letters := map[string]bool{}
	for l, err := range a.letters.Read(context.Background(), deadletter.Query{Scope: a.scope()}) {
		if err != nil {
			a.t.Error(err)
		}
		letters[l.Key+" "+string(l.Payload)] = true
	}
	for _, v := range a.values {
		if applied(a.db, v[0]) == 0 && !letters[v[0]] && !a.skipped[v[0]] {
			return false
		}
	}
	return true
}

// patiently waits until f holds, for an hour at most: what is missing then is told at the end.
func (a *account) patiently(f func() bool) {
	for begun := time.Now(); !f() && time.Since(begun) < time.Hour; {
		<-time.After(20 * time.Second)
	}
}

func (a *account) scope() deadletter.Scope { return deadletter.Scope{App: "app", Stream: a.stream} }

// handler is slow now and then, also beyond the end of its context, and fails in every way.
func (a *account) handler(c *chaos, sink troubledSink) consumer.Handler {
	once := consumer.Once(sink, func(_ context.Context, tx *memdedup.Tx, fresh []consumer.Record) error {
		for i, r := range fresh {
			if c.on() && c.n(12) == 0 {
				return []error{
					&consumer.PartialError{Done: i, Err: errNo}, errNo, consumer.Permanent(&consumer.PartialError{Done: i, Err: errNo}), consumer.RetryAfter(time.Second, errNo),
				}[c.n(4)]
			}
			if c.on() && c.n(100) == 0 {
				panic("no")
			}
			a.apply(tx, r)
		}
		if c.on() && c.n(20) == 0 {
			return errNo
		}
		return nil
	})
	return consumer.HandlerFunc(func(ctx context.Context, rs []consumer.Record) error {
		switch c.n(60) {
		case 0:
			if c.on() { // nobody can stop it
				<-time.After(time.Duration(c.n(60)) * time.Second)
			}
		case 1, 2, 3, 4, 5, 6, 7, 8:
			select {
			case <-time.After(time.Duration(c.n(800)) * time.Millisecond):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		err := once.Handle(ctx, rs)
		for _, r := range rs {
			if c.n(4) == 0 {
				r.Checkpoint()
			}
		}
		return err
	})
}

// Workers come and go, lose their leases and go on all the same, the stream is split and merged, and the sink, the place for letters, the lease store and the source fail in every way at once: each effect
// is made once, in the order of its key, or there is a letter whose redrive makes it, and nothing stays counted.
func TestStressOnce(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inWorld(t, &memsource.Config{Shards: 3, PageRecords: 7}, func(t *testing.T, w *world) {
				c := &chaos{rand: rand.New(rand.NewPCG(seed, 2))}
				a := newAccount(t, seed)
				a.stream = streamOf(t, w)
				var crew []*running
				var stores []*cutStore
				var budgets []*consumer.Budget
				hire := func() {
					budget, store := consumer.NewBudget(20_000), &cutStore{Store: w.store}
					budgets, stores = append(budgets, budget), append(stores, store)
					order := consumer.Order{By: a.by}
					if a.by != consumer.PerShard {
						order.Workers, order.ShardWorkers = c.n(4), c.n(3)
					}
					sink := troubledSink{a.db.Another(), c}
					cfg := consumer.Config{
						Name: "app", Worker: fmt.Sprint("w", len(crew)), Source: w.source, Leases: flakyStore{store, c}, Handler: a.handler(c, sink), Sink: sink, Order: order,
						Delivery:   consumer.ExactlyOnce,
						Checkpoint: []checkpoint.Strategy{checkpoint.EveryRecord{}, checkpoint.EveryN(5), checkpoint.Every(2 * time.Second), checkpoint.Manual{}}[c.n(4)],
						Batch:      consumer.Batch{Size: 1 + c.n(6), Wait: time.Duration(c.n(2)*c.n(1000)) * time.Millisecond},
						Stop:       consumer.Stop{Drain: 3 * time.Second, Grace: 2 * time.Second},
						Failure: consumer.Failure{
							MaxBackoff: time.Second, MaxAttempts: c.n(3), Split: consumer.Split(c.n(3)), Timeout: time.Duration(c.n(2)*c.n(1000)) * time.Millisecond,
							Then: a.then, Letters: troubledLetters{a.letters, c},
						},
						Flow:  consumer.Flow{Budget: budget, Records: 1 + c.n(20)},
						Hooks: consumer.Hooks{GivenUp: a.givenUp},
					}
					if a.then != consumer.Block && c.n(4) == 0 {
						cfg.Failure.MaxAge = time.Duration(1+c.n(20)) * time.Second
					}
					crew = append(crew, w.start(cfg))
				}
				hire()
				hire()
				for range 300 {
					for range c.n(8) {
						a.add(w, fmt.Sprint("k", c.n(12)))
					}
					switch c.n(25) {
					case 0: // a worker is cut off: it dies, or goes on without knowing
						i := c.n(len(crew))
						store := stores[i]
						store.cut.Store(true)
						if c.n(2) == 0 {
							_ = crew[i].stop()
						} else {
							go func() {
								<-time.After(time.Duration(c.n(40)) * time.Second)
								store.cut.Store(false)
							}()
						}
					case 1:
						_, _ = crew[c.n(len(crew))].Redrive(t.Context(), deadletter.Query{})
					}
					w.trouble(c, crew, hire)
					<-time.After(time.Duration(c.n(1000)) * time.Millisecond)
				}
				c.end()
				hire()
				for _, s := range stores {
					s.cut.Store(false)
				}
				a.patiently(a.settled)
				last := crew[len(crew)-1]
				a.patiently(func() bool {
					if a.then == consumer.Block || a.then == consumer.Skip {
						return true
					}
					done, err := last.Redrive(t.Context(), deadletter.Query{})
					return err == nil && done.Done+done.Failed+len(done.Claimed)+len(done.Lost) == 0
				})
				a.patiently(a.settled)
				for _, r := range crew {
					_ = r.stop() // what a cut store leaves unsaid is not the point
				}
				<-time.After(2 * time.Minute) // of those whom nobody can stop
				a.mu.Lock()
				defer a.mu.Unlock()
				var wrong []string
				for _, v := range a.values {
					if n := applied(a.db, v[0]); n != 1 && (n != 0 || !a.skipped[v[0]]) {
						wrong = append(wrong, fmt.Sprintf("%s was applied %d times", v[0], n))
					}
				}
				slices.Sort(wrong)
				if len(wrong) > 0 {
					t.Errorf("%s, %s: %d of %d: %q", a.by, a.then, len(wrong), len(a.values), wrong)
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
