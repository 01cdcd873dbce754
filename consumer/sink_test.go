package consumer_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/deadletter/memletters"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/memdedup"
	"github.com/runnelhq/runnel/lease/memlease"
)

// What the lease says to be done above the position is not asked: a sink that failed over may have lost it.
func TestAnEffectAboveTheWatermarkThatTheSinkLostIsMadeAgain(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		first, second := memdedup.New(), memdedup.New()
		var stuck atomic.Bool
		stuck.Store(true)
		config := func(sink *memdedup.Sink) consumer.Config {
			cfg := w.once(sink)
			cfg.Order.By, cfg.Batch.Size, cfg.Checkpoint = consumer.PerKey, 1, checkpoint.EveryRecord{}
			cfg.Delivery = consumer.AtLeastOnce
			cfg.Handler = consumer.Once(sink, func(_ context.Context, tx *memdedup.Tx, fresh []consumer.Record) error {
				if fresh[0].Key == "stuck" && stuck.Load() {
					return errors.New("not yet")
				}
				count(tx, string(fresh[0].Data))
				return nil
			})
			return cfg
		}
		for i, key := range []string{"a", "stuck", "b"} {
			if _, _, err := w.source.Put(key, []byte(strconv.Itoa(i))); err != nil {
				t.Fatal(err)
			}
		}
		cfg := config(first)
		cfg.Handler = consumer.HandlerFunc(func(ctx context.Context, rs []consumer.Record) error { // a consumer that stores with the lease what is done above
			if rs[0].Key == "stuck" {
				return errors.New("not yet")
			}
			m := rs[0].Mark()
			m.Session = "any"
			return first.Apply(ctx, []dedup.Mark{m}, func(tx *memdedup.Tx, _ []int) error {
				count(tx, string(rs[0].Data))
				return nil
			})
		})
		seal := dedup.Mark{App: "app", Stream: streamOf(t, w), Shard: firstShard(t, w), Scope: dedup.PerKey, Epoch: 1, Session: "any"}
		cfg.Sink = nil
		if _, err := first.Seal(t.Context(), seal); err != nil {
			t.Fatal(err)
		}
		c := w.start(cfg)
		w.until("2 applied and 0 stored", func() bool { return applied(first, "2") == 1 && len(w.stored) > 0 })
		shard := told[consumer.Assigned](w)[0].Shard
		c.clean()
		m := dedup.Mark{App: "app", Stream: streamOf(t, w), Shard: shard, Scope: dedup.PerKey, Epoch: 1, Session: "old", Position: w.storedAt(shard)}
		if _, err := second.Seal(t.Context(), m); err != nil { // what the new primary knows
			t.Fatal(err)
		}
		stuck.Store(false)
		c = w.start(config(second))
		w.until("1 and 2 applied", func() bool { return applied(second, "1") == 1 && applied(second, "2") == 1 })
		c.clean()
		if n := applied(second, "0"); n != 0 {
			t.Errorf("0 was applied %d times, which the new primary had", n)
		}
	})
}

// The position that a worker resumes from never exceeds what the sink holds: it moves there after the sink has.
func TestTheLeaseWaitsForTheSinkToAdvance(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		sink := &lateSink{Sink: memdedup.New()}
		cfg := w.once(sink)
		cfg.Checkpoint = checkpoint.EveryRecord{}
		cfg.Filter = func(r consumer.Record) bool { return false }
		cfg.Hooks.Checkpointed = func(e consumer.Checkpointed) {
			if p := sink.low.Load(); p == nil || p.Before(e.Position) {
				t.Errorf("%s was stored before the sink held it", e.Position)
			}
			w.event(e)
		}
		sink.late.Store(true)
		w.put(0, 5)
		c := w.start(cfg)
		<-time.After(10 * time.Minute)
		if n := len(told[consumer.Checkpointed](w)); n != 0 {
			t.Errorf("%d positions were stored while the sink could not advance", n)
		}
		if err := c.stop(); !errors.Is(err, dedup.ErrUnavailable) {
			t.Errorf("Run returned %v, want why the last position is not stored", err)
		}
		if n := len(told[consumer.Checkpointed](w)); n != 0 {
			t.Errorf("%d positions were stored at the stop while the sink could not advance", n)
		}
		sink.late.Store(false)
		c = w.start(cfg)
		w.until("a position is stored", func() bool { return len(told[consumer.Checkpointed](w)) > 0 })
		c.clean()
	})
}

// lateSink can be slow to advance.
type lateSink struct {
	*memdedup.Sink
	late atomic.Bool
	low  atomic.Pointer[checkpoint.Position]
}

func (s *lateSink) Advance(ctx context.Context, m dedup.Mark) error {
	if s.late.Load() {
		return dedup.ErrUnavailable
	}
	err := s.Sink.Advance(ctx, m)
	s.low.Store(&m.Position)
	return err
}

// The end of a shard is sealed before its lease says END: if that is lost, the shard is not read again, and its children begin.
func TestAShardThatTheSinkKnowsToHaveEndedIsNotReadAgain(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		sink := memdedup.New()
		w.put(0, 5)
		parent := firstShard(t, w)
		if _, _, err := w.source.Split(parent); err != nil {
			t.Fatal(err)
		}
		w.put(5, 10)
		cfg := w.once(sink)
		cfg.Leases = memlease.New() // which is lost
		c := w.start(cfg)
		w.until("9 applied", func() bool { return applied(sink, "9") == 1 })
		c.clean()
		w.mu.Lock()
		w.events = nil
		w.mu.Unlock()
		cfg = w.once(sink)
		cfg.Hooks.Page = func(e consumer.PageRead) {
			if e.Shard == parent && e.Records > 0 {
				t.Errorf("%d records of the parent were read again", e.Records)
			}
		}
		w.put(10, 15)
		c = w.start(cfg)
		w.eachOnce(sink, 15)
		c.clean()
		if !slices.ContainsFunc(told[consumer.Lost](w), func(e consumer.Lost) bool { return e.Shard == parent && e.Reason == consumer.ReasonEnded }) {
			t.Error("the parent has not ended")
		}
	})
}

// A sink that lost everything but its seals is behind every position: the shard is read from where it began for the application, and not from before.
func TestASinkThatHoldsNothingIsCaughtUpFromTheStart(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.put(0, 5)
		<-time.After(time.Hour)
		start := checkpoint.AtTime(time.Now())
		<-time.After(time.Hour)
		w.put(5, 10)
		held := memdedup.New()
		cfg := w.once(held)
		cfg.Start = start
		c := w.start(cfg)
		w.until("9 applied", func() bool { return applied(held, "9") == 1 })
		c.clean()
		empty := memdedup.New()
		m := dedup.Mark{App: "app", Stream: streamOf(t, w), Shard: firstShard(t, w), Epoch: 1, Session: "old"}
		if _, err := empty.Seal(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		cfg = w.once(empty)
		cfg.Start = start
		c = w.start(cfg)
		w.until("9 applied again", func() bool { return applied(empty, "9") == 1 })
		c.clean()
		for i := range 10 {
			if got, want := applied(empty, strconv.Itoa(i)), min(1, i/5); got != want {
				t.Errorf("value %d was applied %d times, want %d", i, got, want)
			}
		}
	})
}

// A worker that stops while its sink is behind the lease leaves the lease where it was, and that is no fault.
func TestAStopWhileTheSinkIsBehindIsClean(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		held, behind := memdedup.New(), memdedup.New()
		ps := w.put(0, 10)
		c := w.start(w.once(held))
		w.until("9 applied", func() bool { return applied(held, "9") == 1 })
		c.clean()
		m := dedup.Mark{App: "app", Stream: streamOf(t, w), Shard: firstShard(t, w), Epoch: 1, Session: "old", Position: ps[2]}
		if _, err := behind.Seal(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		cfg := w.once(behind)
		cfg.Handler = consumer.Once(behind, func(_ context.Context, tx *memdedup.Tx, fresh []consumer.Record) error {
			if string(fresh[0].Data) != "3" {
				return errors.New("no further")
			}
			count(tx, "3")
			return nil
		})
		cfg.Batch.Size, cfg.Checkpoint = 1, checkpoint.EveryRecord{}
		c = w.start(cfg)
		w.until("3 applied", func() bool { return applied(behind, "3") == 1 })
		<-time.After(time.Minute)
		c.clean()
		c = w.start(w.once(behind))
		w.until("9 applied", func() bool { return applied(behind, "9") == 1 })
		c.clean()
		for i := range 10 {
			if got, want := applied(behind, strconv.Itoa(i)), min(1, i/3); got != want {
				t.Errorf("value %d was applied %d times, want %d", i, got, want)
			}
		}
	})
}

// The sink was sealed by somebody else while the lease is this owner's: it is taken again above that, whether an effect, a letter or a position is refused.
func TestAnOwnerWhomTheSinkRefusesTakesItsShardAgain(t *testing.T) {
	for name, change := range map[string]func(*consumer.Config){
		"an effect": func(*consumer.Config) {},
		"a letter": func(c *consumer.Config) {
			c.Failure = consumer.Failure{MaxAge: time.Nanosecond, Then: consumer.DeadLetter, Letters: memletters.New()}
		},
		"a position": func(c *consumer.Config) {
			c.Filter, c.Checkpoint = func(consumer.Record) bool { return false }, checkpoint.EveryRecord{}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(t *testing.T, w *world) {
				sink := memdedup.New()
				cfg := w.once(sink)
				change(&cfg)
				c := w.start(cfg)
				w.until("assigned", func() bool { return len(told[consumer.Assigned](w)) == 1 })
				<-time.After(10 * time.Second)
				m := dedup.Mark{App: "app", Stream: streamOf(t, w), Shard: firstShard(t, w), Epoch: 70, Session: "other"}
				if _, err := sink.Seal(t.Context(), m); err != nil {
					t.Fatal(err)
				}
				w.put(0, 3)
				w.until("taken again", func() bool {
					all := told[consumer.Assigned](w)
					return all[len(all)-1].Epoch == 71
				})
				<-time.After(time.Minute)
				c.clean()
				if n := len(told[consumer.Assigned](w)); n != 2 {
					t.Errorf("assigned %d times, want twice", n)
				}
				if n := applied(sink, "2"); name == "an effect" && n != 1 {
					t.Errorf("2 was applied %d times", n)
				}
			})
		})
	}
}

func TestALetterIsRedrivenWithTheSinkThatKnowsIt(t *testing.T) {
	for _, marked := range []bool{true, false} {
		inWorld(t, nil, func(t *testing.T, w *world) {
			letters := memletters.New()
			with, without := w.once(memdedup.New()), w.config()
			for _, cfg := range []*consumer.Config{&with, &without} {
				cfg.Failure = consumer.Failure{MaxAge: time.Nanosecond, Then: consumer.DeadLetter, Letters: letters}
			}
			first, second := with, without
			if !marked {
				first, second = without, with
			}
			w.put(0, 1)
			<-time.After(time.Second)
			c := w.start(first)
			w.until("a letter", func() bool { s := c.Status(); return len(s.Shards) == 1 && s.Shards[0].GivenUp == 1 })
			c.clean()
			other, err := consumer.New(second)
			if err != nil {
				t.Fatal(err)
			}
			if done, err := other.Redrive(t.Context(), deadletter.Query{}); err != nil || done.Failed != 1 {
				t.Errorf("marked %t, by the other kind of consumer: %+v, %v; want the letter to stay", marked, done, err)
			}
			if done, err := c.Redrive(t.Context(), deadletter.Query{}); err != nil || done.Done != 1 {
				t.Errorf("marked %t, by its own: %+v, %v; want the letter to go", marked, done, err)
			}
		})
	}
}

// A key that an earlier owner parks after the sink is sealed is parked for a record that this owner is handed: its sink refuses the earlier one. Before, it may be for one that was passed.
func TestParkedKeysAreListedBehindTheFence(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		sink := &sealedSink{Sink: memdedup.New()}
		cfg := w.once(sink)
		cfg.Order.By = consumer.PerKey
		cfg.Failure = consumer.Failure{Then: consumer.ParkKey, Letters: listedLetters{memletters.New(), func() {
			if !sink.sealed.Load() {
				t.Error("the parked keys were listed before the sink was sealed")
			}
		}}}
		w.put(0, 1)
		c := w.start(cfg)
		w.until("0 applied", func() bool { return applied(sink.Sink, "0") == 1 })
		c.clean()
	})
}

type sealedSink struct {
	*memdedup.Sink
	sealed atomic.Bool
}

func (s *sealedSink) Seal(ctx context.Context, m dedup.Mark) (checkpoint.Position, error) {
	low, err := s.Sink.Seal(ctx, m)
	s.sealed.Store(err == nil)
	return low, err
}

type listedLetters struct {
	deadletter.Store
	listed func()
}

func (l listedLetters) Parked(ctx context.Context, s deadletter.Scope) iter.Seq2[deadletter.Parking, error] {
	l.listed()
	return l.Store.Parked(ctx, s)
}

// Once in a handler of one's own, and Config.Sink forgotten: nothing is applied, and no record is blamed.
func TestOnceWithoutTheSinkOfItsConsumerAppliesNothing(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		sink := memdedup.New()
		cfg := w.once(sink)
		inner := cfg.Handler
		cfg.Delivery, cfg.Handler = consumer.AtLeastOnce, consumer.HandlerFunc(func(ctx context.Context, rs []consumer.Record) error { return inner.Handle(ctx, rs) })
		cfg.Failure = consumer.Failure{MaxAttempts: 2, Then: consumer.Skip}
		cfg.Hooks.GivenUp = func(e consumer.GivenUp) { t.Errorf("given up: %+v", e) }
		w.put(0, 3)
		c := w.start(cfg)
		w.until("it says so", func() bool {
			return slices.ContainsFunc(told[consumer.Retried](w), func(e consumer.Retried) bool { return strings.Contains(e.Err.Error(), "set Config.Sink") })
		})
		<-time.After(time.Hour)
		c.clean()
		cfg.Sink = sink
		c = w.start(cfg)
		w.eachOnce(sink, 3)
		c.clean()
	})
}

// setupSink has a Setup of its own.
type setupSink struct {
	*memdedup.Sink
	setup func() error
}

func (s setupSink) Setup(context.Context) error { return s.setup() }

// smallSink has room for few records.
type smallSink struct{ *memdedup.Sink }

func (s smallSink) Terms() dedup.Terms {
	t := s.Sink.Terms()
	t.Batch = 3
	return t
}

func TestACallHasNoMoreRecordsThanTheSinkHasRoomFor(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		sink := smallSink{memdedup.New()}
		cfg := w.once(sink)
		most := 0
		cfg.Handler = consumer.Once(sink, func(_ context.Context, tx *memdedup.Tx, fresh []consumer.Record) error {
			most = max(most, len(fresh))
			for _, r := range fresh {
				count(tx, string(r.Data))
			}
			return nil
		})
		w.put(0, 20)
		c := w.start(cfg)
		w.eachOnce(sink.Sink, 20)
		c.clean()
		if most != 3 {
			t.Errorf("the largest call had %d records, want 3", most)
		}
	})
}

func TestRunSetsUpTheSink(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		calls := 0
		cfg := w.config()
		cfg.Sink = setupSink{memdedup.New(), func() error {
			calls++
			if calls == 1 {
				return errors.New("not yet")
			}
			return nil
		}}
		w.put(0, 1)
		c := w.start(cfg)
		w.expect(numbers(0, 1))
		c.clean()
		if calls != 2 {
			t.Errorf("Setup was called %d times, want until it goes well", calls)
		}
	})
}

func firstShard(t *testing.T, w *world) string {
	t.Helper()
	st, err := w.source.Stream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for s, err := range w.source.Shards(t.Context(), st) {
		if err != nil {
			t.Fatal(err)
		}
		return s.ID
	}
	t.Fatal("no shard")
	return ""
}

// A shard that is handled in another order than before waits until the marks of keys are gone, and says so.
func TestMarksOfKeysKeepAShardFromBeingHandledWithoutThem(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		sink := memdedup.New()
		m := dedup.Mark{App: "app", Stream: streamOf(t, w), Shard: firstShard(t, w), Scope: dedup.PerKey, Epoch: 1, Session: "old"}
		if _, err := sink.Seal(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		ps := w.put(0, 3)
		m.Key, m.Position = "k", ps[2]
		if err := sink.Apply(t.Context(), []dedup.Mark{m}, func(tx *memdedup.Tx, _ []int) error { count(tx, "2"); return nil }); err != nil {
			t.Fatal(err)
		}
		c := w.start(w.once(sink))
		w.until("it says so", func() bool {
			return slices.ContainsFunc(told[consumer.Failed](w), func(e consumer.Failed) bool { return errors.Is(e.Err, dedup.ErrScope) })
		})
		c.clean()
		cfg := w.once(sink)
		cfg.Order.By = consumer.PerKey
		c = w.start(cfg)
		<-time.After(time.Minute)
		c.clean()
		if applied(sink, "2") != 1 {
			t.Errorf("2 was applied %d times", applied(sink, "2"))
		}
	})
}

// The sink passes them in that order: a letter of another key that is passed before would have those between be lost.
func TestLettersOfSeveralKeysPassTheirShardInItsOrder(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		sink, letters := memdedup.New(), memletters.New()
		cfg := w.once(sink)
		var given atomic.Int64
		cfg.Hooks.GivenUp = func(consumer.GivenUp) { given.Add(1) }
		cfg.Failure = consumer.Failure{MaxAge: time.Minute, Then: consumer.DeadLetter, Letters: letters}
		w.putUnder("a", "b", "a", "b", "c")
		<-time.After(time.Hour)
		c := w.start(cfg)
		<-time.After(time.Hour)
		if n := given.Load(); n != 5 {
			t.Errorf("%d given up, want 5: %v", n, told[consumer.Failed](w))
		}
		c.clean()
		if done, err := c.Redrive(t.Context(), deadletter.Query{}); err != nil || done.Done != 5 {
			t.Errorf("redriven %+v, %v; want all letters to go", done, err)
		}
		w.eachOnce(sink, 5)
	})
}

// handingOn keeps its records, and has h handle them beside.
func handingOn(h consumer.Handler) consumer.Handler {
	return consumer.HandlerFunc(func(ctx context.Context, rs []consumer.Record) error {
		d, own := consumer.Defer(rs...), slices.Clone(rs)
		go func() {
			if err := h.Handle(context.WithoutCancel(ctx), own); err != nil {
				_ = d.Fail(err)
			} else {
				_ = d.Done()
			}
		}()
		return nil
	})
}

func TestARecordThatWasKeptSpendsNoAttemptWhileItsSinkIsDown(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		sink := &downSink{Sink: memdedup.New()}
		cfg := w.once(sink)
		var given atomic.Int64
		cfg.Sink = sink
		cfg.Hooks.GivenUp = func(consumer.GivenUp) { given.Add(1) }
		cfg.Failure = consumer.Failure{MaxAttempts: 2, Then: consumer.Skip}
		cfg.Handler = handingOn(cfg.Handler)
		w.put(0, 5)
		c := w.start(cfg)
		w.until("4 applied", func() bool { return applied(sink.Sink, "4") == 1 })
		sink.down.Store(true)
		w.put(5, 10)
		<-time.After(10 * time.Minute)
		if n := given.Load(); n != 0 {
			t.Errorf("%d were given up", n)
		}
		sink.down.Store(false)
		w.eachOnce(sink.Sink, 10)
		c.clean()
	})
}

func TestARecordThatWasKeptAndIsRefusedHasItsShardTakenAgain(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		sink := memdedup.New()
		cfg := w.once(sink)
		cfg.Sink = sink
		var given atomic.Int64
		cfg.Hooks.GivenUp = func(consumer.GivenUp) { given.Add(1) }
		cfg.Failure = consumer.Failure{MaxAttempts: 2, Then: consumer.Skip}
		cfg.Handler = handingOn(cfg.Handler)
		c := w.start(cfg)
		w.until("assigned", func() bool { return len(told[consumer.Assigned](w)) == 1 })
		<-time.After(10 * time.Second)
		if _, err := sink.Seal(t.Context(), dedup.Mark{App: "app", Stream: streamOf(t, w), Shard: firstShard(t, w), Epoch: 70, Session: "other"}); err != nil {
			t.Fatal(err)
		}
		w.put(0, 3)
		<-time.After(10 * time.Minute)
		if n := given.Load(); n != 0 {
			t.Errorf("%d were given up", n)
		}
		w.eachOnce(sink, 3)
		c.clean()
	})
}

func TestALetterIsRedrivenAsItWasWrittenAlsoInAnotherOrder(t *testing.T) {
	orders := []consumer.OrderBy{consumer.PerShard, consumer.PerKey, consumer.Unordered}
	for _, from := range orders {
		for _, to := range orders {
			t.Run(from.String()+" "+to.String(), func(t *testing.T) {
				inWorld(t, nil, func(t *testing.T, w *world) {
					sink, letters := memdedup.New(), memletters.New()
					cfg := w.once(sink)
					var mended atomic.Bool
					cfg.Handler = consumer.Once(sink, func(_ context.Context, tx *memdedup.Tx, fresh []consumer.Record) error {
						for i, r := range fresh {
							if string(r.Data) == "3" && !mended.Load() {
								return &consumer.PartialError{Done: i, Err: consumer.Permanent(errors.New("poison"))}
							}
							count(tx, string(r.Data))
						}
						return nil
					})
					cfg.Order.By = from
					cfg.Failure = consumer.Failure{Then: consumer.DeadLetter, Letters: letters}
					w.put(0, 6)
					c := w.start(cfg)
					w.until("5 applied, and a letter", func() bool { return applied(sink, "5") == 1 && c.Status().Shards[0].GivenUp == 1 })
					c.clean()
					mended.Store(true)
					cfg.Order.By = to
					c = w.start(cfg)
					w.put(6, 8)
					w.until("7 applied", func() bool { return applied(sink, "7") == 1 })
					if done, err := c.Redrive(t.Context(), deadletter.Query{}); err != nil || done.Done != 1 {
						t.Errorf("redriven %+v, %v; want the letter to go", done, err)
					}
					c.clean()
					if n := applied(sink, "3"); n != 1 {
						t.Errorf("applied %d times", n)
					}
				})
			})
		}
	}
}

// What the function returns is its own, whatever it wraps.
func TestARefusalOfAnotherSinkIsAFailureOfItsRecord(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		sink := memdedup.New()
		cfg := w.once(sink)
		var fails atomic.Int64
		fails.Store(2)
		cfg.Handler = consumer.Once(sink, func(_ context.Context, tx *memdedup.Tx, fresh []consumer.Record) error {
			if fails.Add(-1) >= 0 {
				return &dedup.RefusedError{Err: dedup.ErrFenced, Epoch: 1 << 40}
			}
			count(tx, "0")
			return nil
		})
		w.put(0, 1)
		c := w.start(cfg)
		w.eachOnce(sink, 1)
		c.clean()
		if n := len(told[consumer.Assigned](w)); n != 1 {
			t.Errorf("assigned %d times: %v", n, told[consumer.Assigned](w))
		}
	})
}

func (w *world) putUnder(keys ...string) {
	w.t.Helper()
	for i, key := range keys {
		if _, _, err := w.source.Put(key, []byte(strconv.Itoa(i))); err != nil {
			w.t.Fatal(err)
		}
	}
}
