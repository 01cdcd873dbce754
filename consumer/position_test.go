package consumer_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/memsource"
)

func TestEveryRecordIsHandledInOrder(t *testing.T) {
	inWorld(t, &memsource.Config{PageRecords: 7}, func(t *testing.T, w *world) {
		w.put(0, 50)
		c := w.start(w.config())
		w.expect(numbers(0, 50))
		w.put(50, 60)
		w.expect(numbers(0, 60))
		c.clean()
	})
}

func TestACleanRestartRepeatsNothing(t *testing.T) {
	for name, s := range map[string]checkpoint.Strategy{
		"every record": checkpoint.EveryRecord{}, "default": nil, "manual": checkpoint.Manual{}, "every 7": checkpoint.EveryN(7),
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(t *testing.T, w *world) {
				cfg := w.config()
				cfg.Checkpoint = s
				w.put(0, 20)
				c := w.start(cfg)
				w.expect(numbers(0, 20))
				c.clean()
				w.put(20, 25)
				c = w.start(cfg)
				w.expect(numbers(0, 25))
				c.clean()
			})
		})
	}
}

// A handler that cannot get over a record never has the position move beyond it, whichever way it fails.
func TestHazard01_AFailureDoesNotAdvance(t *testing.T) {
	why := errors.New("why")
	for name, fail := range map[string]func() error{
		"error": func() error { return why },
		"panic": func() error { panic(why) },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(t *testing.T, w *world) {
				cfg := w.config()
				cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
					w.saw(r)
					if string(r.Data) == "3" {
						return fail()
					}
					return nil
				})
				ps := w.put(0, 6)
				c := w.start(cfg)
				w.until("ten attempts", func() bool { return len(told[consumer.Retried](w)) >= 10 })
				shard := w.source.OpenShards()[0]
				if got := w.storedAt(shard); got != ps[2] {
					t.Errorf("the stored position is %s, want that of the last record that succeeded, %s", got, ps[2])
				}
				for i, e := range told[consumer.Retried](w) {
					if e.Position != ps[3] || e.Attempt != i+1 || !errors.Is(e.Err, why) || e.Wait > 30*time.Second {
						t.Fatalf("attempt %d: told %+v", i+1, e)
					}
				}
				if s := c.Status().Shards[0]; s.Failing == nil || s.Handled != ps[2] || s.Attempt < 10 || time.Since(s.Since) <= 0 {
					t.Errorf("the status says %+v", s)
				}
				c.clean()
				w.mu.Lock()
				w.seen = nil
				w.mu.Unlock()
				c = w.start(w.config())
				w.expect(numbers(3, 6))
				c.clean()
			})
		})
	}
}

func TestHazard02_LatestIsResolvedOnce(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.put(0, 5)
		<-time.After(time.Minute)
		cfg := w.config()
		cfg.Start = checkpoint.Latest()
		c := w.start(cfg)
		<-time.After(10 * time.Second)
		c.clean() // no record came, no position was ever stored
		w.put(5, 10)
		<-time.After(time.Minute)
		c = w.start(cfg)
		w.expect(numbers(5, 10))
		c.clean()
	})
}

func TestHazard03_ADescendantStartsAtTrimHorizon(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		cfg := w.config()
		cfg.Start = checkpoint.Latest()
		c := w.start(cfg)
		<-time.After(10 * time.Second)
		c.clean()
		w.put(0, 5)
		child, err := w.source.Roll(w.source.OpenShards()[0])
		if err != nil {
			t.Fatal(err)
		}
		w.put(5, 10) // all of the child's records are there before anybody knows of it
		<-time.After(time.Hour)
		c = w.start(cfg)
		w.expect(numbers(0, 10))
		c.clean()
		for _, e := range told[consumer.Assigned](w) {
			if e.Shard == child && e.Start.Kind() != checkpoint.StartTrimHorizon {
				t.Errorf("the child starts at %s", e.Start)
			}
		}
	})
}

// The position covers what is done, contiguously: a batch that fails in its middle is stored up to there.
func TestHazard05_APartialBatchIsStoredUpToItsFailure(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		var calls [][]string
		cfg := w.config()
		cfg.Handler = consumer.HandlerFunc(func(_ context.Context, rs []consumer.Record) error {
			var call []string
			for _, r := range rs {
				call = append(call, string(r.Data))
			}
			calls = append(calls, call)
			if i := slices.Index(call, "4"); i >= 0 && rs[i].Attempt < 3 {
				return &consumer.PartialError{Done: i, Err: errors.New("not yet")}
			}
			return nil
		})
		ps := w.put(0, 8)
		shard := w.source.OpenShards()[0]
		c := w.start(cfg)
		w.until("the first failure", func() bool { return len(told[consumer.Retried](w)) == 1 })
		if got := w.storedAt(shard); got != ps[3] {
			t.Errorf("after the failure of record 4 the stored position is %s, want %s", got, ps[3])
		}
		w.until("the last position", func() bool { return w.storedAt(shard) == ps[7] })
		c.clean()
		want := [][]string{numbers(0, 8), numbers(4, 5), numbers(4, 5), numbers(5, 8)} // it fails alone
		if !slices.EqualFunc(calls, want, slices.Equal) {
			t.Errorf("the handler was called with %v, want %v", calls, want)
		}
	})
}

// Invariant 9: what could be repeated at any moment is bounded by the strategy.
func TestRepeatsAreBoundedByTheStrategy(t *testing.T) {
	for name, c := range map[string]struct {
		s    checkpoint.Strategy
		most int // records done before the one in the handler's hands and not stored
	}{
		"every record": {checkpoint.EveryRecord{}, 0},
		"every 5":      {checkpoint.EveryN(5), 9},
		"any":          {checkpoint.Any{checkpoint.EveryN(3), checkpoint.Every(time.Hour)}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(t *testing.T, w *world) {
				cfg := w.config()
				cfg.Checkpoint = c.s
				cfg.Leases = slowStore{w.store} // so that handling overtakes storing
				shard := w.source.OpenShards()[0]
				index := map[checkpoint.Position]int{{}: -1}
				worst := 0
				cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
					i, err := strconv.Atoi(string(r.Data))
					if err != nil {
						return err
					}
					worst = max(worst, i-index[w.storedAt(shard)]-1)
					w.saw(r)
					return nil
				})
				for i, p := range w.put(0, 100) {
					index[p] = i
				}
				run := w.start(cfg)
				w.expect(numbers(0, 100))
				run.clean()
				if worst > c.most {
					t.Errorf("a crash could have repeated %d records, want at most %d", worst, c.most)
				}
				if c.most > 0 && worst == 0 {
					t.Error("storing never overlapped handling: nothing was tested")
				}
			})
		})
	}
}

// still is a source that says nothing for as long as there is no record.
var still = &memsource.Config{Poll: 24 * time.Hour}

func TestAnIntervalEndsWithoutAnotherRecord(t *testing.T) {
	inWorld(t, still, func(t *testing.T, w *world) {
		cfg := w.config()
		cfg.Checkpoint = checkpoint.Every(time.Minute)
		ps := w.put(0, 3)
		shard := w.source.OpenShards()[0]
		c := w.start(cfg)
		w.expect(numbers(0, 3))
		if got := w.storedAt(shard); !got.IsZero() {
			t.Errorf("%s was stored before the interval was over", got)
		}
		<-time.After(time.Minute)
		if got := w.storedAt(shard); got != ps[2] {
			t.Errorf("after the interval %s is stored, want %s", got, ps[2])
		}
		c.clean()
	})
}

// strategy is one of a user's.
type strategy func(p checkpoint.Progress) time.Duration

func (f strategy) Due(p checkpoint.Progress) time.Duration { return f(p) }

// A strategy may change its mind with each record, and say that it is late.
func TestAStrategyOfRecordsAndTime(t *testing.T) {
	for name, due := range map[string]func(age time.Duration) time.Duration{
		"not before a second": func(age time.Duration) time.Duration { return max(0, time.Second-age) },
		"overdue":             func(time.Duration) time.Duration { return -1 },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, still, func(t *testing.T, w *world) {
				cfg := w.config()
				cfg.Checkpoint = strategy(func(p checkpoint.Progress) time.Duration {
					if p.Records < 10 {
						return checkpoint.Never
					}
					return due(p.Age)
				})
				cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
					<-time.After(100 * time.Millisecond)
					w.saw(r)
					return nil
				})
				ps := w.put(0, 100)
				c := w.start(cfg)
				w.until("60", func() bool { return len(w.values()) >= 60 })
				if at := w.storedAt(w.source.OpenShards()[0]); at.Before(ps[40]) {
					t.Errorf("60 records are done, and %q is stored, want %s or later", at, ps[40])
				}
				c.clean()
			})
		})
	}
}

func TestAHandlerAsksForItsCheckpoint(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		cfg := w.config()
		cfg.Checkpoint = checkpoint.Manual{}
		cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
			if string(r.Data) == "3" {
				r.Checkpoint()
			}
			w.saw(r)
			return nil
		})
		ps := w.put(0, 6)
		shard := w.source.OpenShards()[0]
		c := w.start(cfg)
		w.expect(numbers(0, 6))
		if got := w.storedAt(shard); got.Before(ps[3]) {
			t.Errorf("record 3 asked to be stored, and the stored position is %s, want %s or later", got, ps[3])
		}
		before := w.storedAt(shard)
		w.put(6, 9)
		w.expect(numbers(0, 9))
		if got := w.storedAt(shard); got != before {
			t.Errorf("nobody asked, and the stored position moved to %s", got)
		}
		c.clean()
	})
}

// A handler that hands records on may ask when their effects stand, whoever holds them then.
func TestACheckpointIsAskedForLater(t *testing.T) {
	inWorld(t, still, func(t *testing.T, w *world) {
		cfg := w.config()
		cfg.Checkpoint = checkpoint.Manual{}
		kept := make(chan consumer.Record, 3)
		cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
			kept <- r
			return nil
		})
		ps := w.put(0, 3)
		shard := w.source.OpenShards()[0]
		c := w.start(cfg)
		<-kept
		second := <-kept
		<-time.After(10 * time.Second)
		if got := w.storedAt(shard); !got.IsZero() {
			t.Errorf("%s was stored before anybody asked", got)
		}
		second.Checkpoint()
		<-time.After(time.Second)
		if got := w.storedAt(shard); got.Before(ps[1]) {
			t.Errorf("record 1 asked to be stored, and the stored position is %q, want %s or later", got, ps[1])
		}
		c.clean()
	})
}

// A position inside an aggregate survives a stop in the middle of it.
func TestHazard10_APositionInsideAnAggregate(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		shard := w.source.OpenShards()[0]
		if _, err := w.source.PutAggregate(shard, "k", []byte("0"), []byte("1"), []byte("2"), []byte("3")); err != nil {
			t.Fatal(err)
		}
		w.put(4, 6)
		stuck := errors.New("stuck")
		cfg := w.config()
		cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
			if string(r.Data) == "2" {
				return stuck
			}
			w.saw(r)
			return nil
		})
		c := w.start(cfg)
		w.until("two attempts", func() bool { return len(told[consumer.Retried](w)) >= 2 })
		c.clean()
		if got := w.storedAt(shard).Aggregated(); got != 2 {
			t.Errorf("the stored position says that %d records of the aggregate are done, want 2", got)
		}
		c = w.start(w.config())
		w.expect(numbers(0, 6))
		c.clean()
	})
}
