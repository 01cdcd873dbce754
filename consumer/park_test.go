package consumer_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/memsource"
	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/deadletter/memletters"
)

func (w *world) scope() deadletter.Scope {
	w.t.Helper()
	st, err := w.source.Stream(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return deadletter.Scope{App: "app", Stream: st.Incarnation}
}

// letters are the letters of the app in a store, by key and in their order.
func (w *world) letters(s deadletter.Store) (ls []deadletter.Letter) {
	w.t.Helper()
	for l, err := range s.Read(w.t.Context(), deadletter.Query{Scope: w.scope()}) {
		if err != nil {
			w.t.Fatal(err)
		}
		ls = append(ls, l)
	}
	return ls
}

func payloads(ls []deadletter.Letter) (vs []string) {
	for _, l := range ls {
		vs = append(vs, string(l.Payload))
	}
	return vs
}

// drain settles all letters of a key as a redrive would.
func (w *world) drain(s deadletter.Store, key string) {
	w.t.Helper()
	claim := deadletter.Claim{Scope: w.scope(), Key: key, Token: "t"}
	if err := s.Claim(w.t.Context(), claim, time.Minute); err != nil {
		w.t.Fatal(err)
	}
	for _, l := range w.letters(s) {
		if l.Key != key {
			continue
		}
		if err := s.Settle(w.t.Context(), claim, l.ID(), nil); err != nil {
			w.t.Fatal(err)
		}
	}
}

// failingStore fails while it shall.
type failingStore struct {
	deadletter.Store
	fails atomic.Bool
	tries atomic.Int64
}

func (s *failingStore) Put(ctx context.Context, ls []deadletter.Letter) error {
	if s.tries.Add(1); s.fails.Load() {
		return errNo
	}
	return s.Store.Put(ctx, ls)
}

func (s *failingStore) Park(ctx context.Context, ls []deadletter.Letter, open bool) error {
	if s.tries.Add(1); s.fails.Load() {
		return errNo
	}
	return s.Store.Park(ctx, ls, open)
}

// parking is a config that parks the key k1, of which the handler says that no attempt can help.
func (w *world) parking(store deadletter.Store, s *sums) consumer.Config {
	cfg := w.config()
	cfg.Order.By = consumer.PerKey
	cfg.Failure = consumer.Failure{Then: consumer.ParkKey, Letters: store}
	cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
		if r.Key == "k1" {
			return consumer.Permanent(errNo)
		}
		s.add(r)
		return nil
	})
	return cfg
}

func TestWhileLettersCannotBeStoredNothingMovesButOtherKeys(t *testing.T) {
	for _, then := range []consumer.Then{consumer.DeadLetter, consumer.ParkKey} {
		t.Run(then.String(), func(t *testing.T) {
			inWorld(t, nil, func(t *testing.T, w *world) {
				s, store := newSums(), &failingStore{Store: memletters.New()}
				store.fails.Store(true)
				cfg := w.parking(store, s)
				cfg.Failure.Then = then
				w.putKeys(4, 40)
				shard := w.source.OpenShards()[0]
				ps := w.putEach(1)
				c := w.start(cfg)
				w.until("the others", func() bool { return s.len() == 30 })
				<-time.After(10 * time.Minute)
				if st := c.Status().Shards[0]; st.GivenUp != 0 || st.InFlight != 10 || w.storedAt(shard) == ps[0] {
					t.Errorf("without letters the status is %+v", st)
				}
				if n := store.tries.Load(); n < 10 || n > 100 {
					t.Errorf("it was tried %d times in 10 minutes", n)
				}
				store.fails.Store(false)
				w.until("the last position", func() bool { return w.storedAt(shard) == ps[0] })
				c.clean()
				want := []string{"1", "5", "9", "13", "17", "21", "25", "29", "33", "37"}
				if got := payloads(w.letters(store)); !slices.Equal(got, want) {
					t.Errorf("the letters are %v, want %v", got, want)
				}
			})
		})
	}
}

func TestAParkedKeyStaysParkedWithANewOwnerUntilItIsDrained(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		s, store := newSums(), memletters.New()
		w.putKeys(3, 9)
		c := w.start(w.parking(store, s))
		w.until("three letters", func() bool { return len(w.letters(store)) == 3 })
		c.clean()

		cfg := w.parking(store, s)
		cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
			s.add(r)
			return nil
		})
		c = w.start(cfg)
		put := func(data string) {
			t.Helper()
			if _, _, err := w.source.Put("k1", []byte(data)); err != nil {
				t.Fatal(err)
			}
		}
		put("a")
		w.until("a fourth letter", func() bool { return len(w.letters(store)) == 4 })
		if st := c.Status().Shards[0]; st.Parked != 1 || st.GivenUp != 1 {
			t.Errorf("the status says %+v", st)
		}
		w.drain(store, "k1")
		put("b")
		put("c")
		w.until("what comes after the redrive", func() bool { return s.has("c") })
		if !s.has("b") || s.has("a") || len(w.letters(store)) != 0 {
			t.Errorf("handled %v, letters %v", s.done, payloads(w.letters(store)))
		}
		if st := c.Status().Shards[0]; st.Parked != 0 {
			t.Errorf("%d keys are said to be parked", st.Parked)
		}
		c.clean()
	})
}

func TestALetterIsStoredOnceIfTheWorkerFallsBeforeItsPosition(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		s, store := newSums(), memletters.New()
		cfg := w.parking(store, s)
		cfg.Hooks.GivenUp = func(consumer.GivenUp) { w.store.cut.Store(true) } // between the letter and the position
		w.putKeys(2, 4)
		c := w.start(cfg)
		w.until("a letter", func() bool { return len(w.letters(store)) > 0 })
		<-time.After(2 * time.Minute)
		_ = c.stop()
		w.store.cut.Store(false)
		c = w.start(w.parking(store, s))
		w.until("both letters", func() bool { return len(w.letters(store)) == 2 })
		<-time.After(time.Minute)
		c.clean()
		if got := payloads(w.letters(store)); !slices.Equal(got, []string{"1", "3"}) {
			t.Errorf("the letters are %v", got)
		}
	})
}

// A batch holds many records of a key. The first is too old, and those behind it are not: the key is parked, so they follow it and are not handled before it.
func TestARecordThatIsTooOldParksWhatIsBehindItInItsBatch(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		s, store := newSums(), memletters.New()
		cfg := w.config()
		cfg.Order.By = consumer.PerKey
		cfg.Batch.Size = 10
		cfg.Failure = consumer.Failure{Then: consumer.ParkKey, Letters: store, MaxAge: time.Hour}
		cfg.Handler = consumer.HandlerFunc(func(_ context.Context, rs []consumer.Record) error {
			for _, r := range rs {
				s.add(r)
			}
			return nil
		})
		w.put(0, 2)
		<-time.After(2 * time.Hour)
		w.put(2, 4)
		if _, _, err := w.source.Put("other", []byte("5")); err != nil {
			t.Fatal(err)
		}
		c := w.start(cfg)
		w.until("four letters, or what was not to be handled", func() bool { return len(w.letters(store))+s.len() == 5 })
		c.clean()
		ls := w.letters(store)
		if got := payloads(ls); !slices.Equal(got, numbers(0, 4)) || !s.has("5") {
			t.Fatalf("the letters are %v, and the handler got %v", got, s.done)
		}
		for i, want := range []deadletter.Reason{deadletter.Age, deadletter.Age, deadletter.Followed, deadletter.Followed} {
			if ls[i].Reason != want {
				t.Errorf("letter %d: %s, want %s", i, ls[i].Reason, want)
			}
		}
	})
}

// A record whose key could be had only at the second attempt keeps clear of the keys: it parks none, and not that of records without one.
func TestARecordWhoseKeyCameLateParksNoKey(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		s, store := newSums(), memletters.New()
		cfg := w.config()
		var asked atomic.Int64
		cfg.Order = consumer.Order{By: consumer.PerKey, Key: func(r consumer.Record) (string, error) {
			if string(r.Data) == "0" && asked.Add(1) == 1 {
				return "", errNo
			}
			return "", nil // all have the empty key
		}}
		cfg.Failure = consumer.Failure{Then: consumer.ParkKey, Letters: store}
		cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
			if string(r.Data) == "0" {
				return consumer.Permanent(errNo)
			}
			s.add(r)
			return nil
		})
		w.put(0, 5)
		c := w.start(cfg)
		w.until("all", func() bool { return s.len()+len(w.letters(store)) == 5 })
		w.put(5, 8)
		w.until("all", func() bool { return s.len()+len(w.letters(store)) == 8 })
		c.clean()
		if ls := w.letters(store); len(ls) != 1 || ls[0].Key != "k" {
			t.Errorf("the letters are %+v, want that of record 0 alone, by the record's own key", ls)
		}
		for _, err := range store.Parked(t.Context(), w.scope()) {
			if err != nil {
				t.Error(err)
			}
			t.Error("a key is parked")
		}
	})
}

func TestALetterHoldsWhatItTakesToRedoTheRecord(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		store := memletters.New()
		cfg := w.config()
		cfg.Worker = "one"
		cfg.Order = consumer.Order{By: consumer.PerKey, Key: func(r consumer.Record) (string, error) { return "of " + r.Key, nil }}
		cfg.Failure = consumer.Failure{Then: consumer.ParkKey, Letters: store, MaxAttempts: 3, Backoff: time.Second}
		cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
			if string(r.Data) == "0" {
				panic(errNo)
			}
			return nil
		})
		var mu sync.Mutex
		var up []consumer.GivenUp
		cfg.Hooks.GivenUp = func(e consumer.GivenUp) { mu.Lock(); defer mu.Unlock(); up = append(up, e) }
		begun := time.Now()
		ps := w.put(0, 2)
		<-time.After(10 * time.Second)
		c := w.start(cfg)
		w.until("two letters", func() bool { return len(w.letters(store)) == 2 })
		c.clean()
		ls := w.letters(store)
		l := ls[0]
		if l.Scope != w.scope() || l.Shard == "" || l.Position != ps[0] || l.Epoch == 0 || l.Key != "of k" || string(l.Payload) != "0" || l.Encoded ||
			l.Attributes["record.key"] != "k" || l.Reason != deadletter.Attempts || l.Attempts != 3 || l.Worker == "" {
			t.Errorf("the letter is %+v", l)
		}
		if !strings.Contains(l.Stack, "park_test.go") || len(l.Errors) != 2 || l.Errors[1] != "no" {
			t.Errorf("errors %q, stack %q", l.Errors, l.Stack)
		}
		if !l.Arrived.Equal(begun) || l.First.Before(begun.Add(10*time.Second)) || !l.Failed.After(l.First) {
			t.Errorf("arrived %v, first %v, failed %v; put at %v", l.Arrived, l.First, l.Failed, begun)
		}
		if f := ls[1]; f.Reason != deadletter.Followed || f.Attempts != 0 || len(f.Errors) != 0 || f.Stack != "" || string(f.Payload) != "1" {
			t.Errorf("what follows is %+v", f)
		}
		if len(up) != 2 || up[0].Letter != l.ID() || up[0].Attempts != 3 || !errors.Is(up[0].Err, errNo) || up[1].Err != nil || up[1].Reason != deadletter.Followed {
			t.Errorf("told %+v", up)
		}
	})
}

func TestRecordsAreNotTriedWhenTheyAreTooOld(t *testing.T) {
	for _, then := range []consumer.Then{consumer.Block, consumer.Skip} {
		t.Run(then.String(), func(t *testing.T) {
			inWorld(t, nil, func(t *testing.T, w *world) {
				var mu sync.Mutex
				var up []consumer.GivenUp
				exhausted := map[string]int{}
				cfg := w.config()
				cfg.Failure = consumer.Failure{Then: then, MaxAge: time.Hour}
				cfg.Hooks.GivenUp = func(e consumer.GivenUp) { mu.Lock(); defer mu.Unlock(); up = append(up, e) }
				cfg.Hooks.Retried = func(e consumer.Retried) { mu.Lock(); defer mu.Unlock(); exhausted[e.Exhausted]++ }
				cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
					w.saw(r)
					if string(r.Data) == "1" {
						return errNo
					}
					return nil
				})
				shard := w.source.OpenShards()[0]
				w.put(0, 1)
				<-time.After(2 * time.Hour)
				ps := w.put(1, 3)
				c := w.start(cfg)
				<-time.After(3 * time.Hour)
				mu.Lock()
				defer mu.Unlock()
				first := w.values()[0]
				if then == consumer.Block {
					if first != "0" || len(up) != 0 || exhausted["age"] == 0 || exhausted[""] == 0 {
						t.Errorf("Block: the first handled is %s, given up %v, exhausted %v", first, up, exhausted)
					}
				} else if first != "1" || len(up) != 3 || up[0].Attempts != 0 || up[0].Reason != deadletter.Age || up[1].Attempts < 10 || up[2].Attempts != 0 || w.storedAt(shard) != ps[1] {
					t.Errorf("Skip: the first handled is %s, given up %+v, exhausted %v", first, up, exhausted)
				}
				mu.Unlock()
				c.clean()
				mu.Lock()
			})
		})
	}
}

// Two workers, one stream: the second takes the shard of the first and finds the key parked.
func TestAKeyIsParkedInTheShardsChildren(t *testing.T) {
	inWorld(t, &memsource.Config{PageRecords: 3}, func(t *testing.T, w *world) {
		s, store := newSums(), memletters.New()
		c, d := w.start(w.parking(store, s)), w.start(w.parking(store, s))
		w.putKeys(3, 9)
		w.until("three letters", func() bool { return len(w.letters(store)) == 3 })
		if _, _, err := w.source.Split(w.source.OpenShards()[0]); err != nil {
			t.Fatal(err)
		}
		w.putKeys(3, 9)
		w.until("six letters", func() bool { return len(w.letters(store)) == 6 })
		c.clean()
		d.clean()
		for _, l := range w.letters(store)[1:] {
			if l.Reason != deadletter.Followed {
				t.Errorf("%s of %s: %s", l.Payload, l.Key, l.Reason)
			}
		}
	})
}
