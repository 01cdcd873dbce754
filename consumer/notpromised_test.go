package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/deadletter/memletters"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/memdedup"
)

// What docs/exactly-once.md says not to be promised is so.

func TestNotPromised_AnEffectOutsideOfTheSinkIsRepeated(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		sink := &doubtfulSink{Sink: memdedup.New()}
		cfg := w.once(sink)
		outside := 0
		cfg.Handler = consumer.Once(sink, func(_ context.Context, tx *memdedup.Tx, fresh []consumer.Record) error {
			outside += len(fresh)
			count(tx, string(fresh[0].Data))
			return nil
		})
		sink.fails.Store(1)
		w.put(0, 1)
		c := w.start(cfg)
		w.eachOnce(sink.Sink, 1)
		c.clean()
		if outside != 2 {
			t.Errorf("the effect outside happened %d times, and 2 were expected", outside)
		}
	})
}

// doubtfulSink rolls back behind the function.
type doubtfulSink struct {
	*memdedup.Sink
	fails atomic.Int64
}

func (s *doubtfulSink) Apply(ctx context.Context, ms []dedup.Mark, f func(*memdedup.Tx, []int) error) error {
	return s.Sink.Apply(ctx, ms, func(tx *memdedup.Tx, fresh []int) error {
		if err := f(tx, fresh); err != nil {
			return err
		}
		if s.fails.Add(-1) >= 0 {
			return errors.New("a conflict at the commit")
		}
		return nil
	})
}

func TestNotPromised_ASinkThatWasEmptiedIsNotCaughtUp(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		held, emptied := memdedup.New(), memdedup.New()
		w.put(0, 5)
		c := w.start(w.once(held))
		w.until("4 applied", func() bool { return applied(held, "4") == 1 })
		c.clean()
		w.put(5, 10)
		c = w.start(w.once(emptied))
		w.until("9 applied", func() bool { return applied(emptied, "9") == 1 })
		c.clean()
		for i := range 10 {
			if got, want := applied(emptied, strconv.Itoa(i)), min(1, i/5); got != want {
				t.Errorf("value %d was applied %d times, and %d were expected", i, got, want)
			}
		}
	})
}

func TestNotPromised_AFailOverWithMarksOfRecordsIsNotCaughtUp(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		held, behind := memdedup.New(), memdedup.New()
		config := func(sink *memdedup.Sink) consumer.Config {
			cfg := w.once(sink)
			cfg.Order.By = consumer.Unordered
			return cfg
		}
		w.put(0, 5)
		c := w.start(config(held))
		w.until("4 applied", func() bool { return applied(held, "4") == 1 })
		c.clean()
		w.put(5, 6)
		c = w.start(config(behind))
		w.until("5 applied", func() bool { return applied(behind, "5") == 1 })
		<-time.After(time.Minute)
		c.clean()
		if n := applied(behind, "4"); n != 0 {
			t.Errorf("4 was applied %d times to the sink that had forgotten it, and none was expected", n)
		}
	})
}

func TestNotPromised_TwoApplicationsApplyEachRecordOnceEach(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		sink := memdedup.New()
		w.put(0, 1)
		one, other := w.once(sink), w.once(sink)
		other.Name = "other"
		a, b := w.start(one), w.start(other)
		w.until("applied twice", func() bool { return applied(sink, "0") == 2 })
		a.clean()
		b.clean()
	})
}

// A worker that has lost its shard and does not know it yet stores a letter: the letter is there, and nothing of it is applied a second time.
func TestNotPromised_ALetterOfAnOwnerThatWasFencedIsStored(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		sink, letters := memdedup.New(), memletters.New()
		cfg := w.once(sink)
		var mended atomic.Bool
		cfg.Handler = consumer.Once(sink, func(_ context.Context, tx *memdedup.Tx, fresh []consumer.Record) error {
			if !mended.Load() {
				return consumer.Permanent(errors.New("poison"))
			}
			count(tx, string(fresh[0].Data))
			return nil
		})
		cfg.Failure = consumer.Failure{Then: consumer.DeadLetter, Letters: fencingLetters{letters, func(l deadletter.Letter) {
			if mended.Swap(true) {
				return
			}
			m := dedup.Mark{App: l.App, Stream: l.Stream, Shard: l.Shard, Epoch: 70, Session: "successor"}
			if _, err := sink.Seal(context.Background(), m); err != nil {
				t.Error(err)
			}
		}}}
		w.put(0, 1)
		c := w.start(cfg)
		w.eachOnce(sink, 1)
		done, err := c.Redrive(t.Context(), deadletter.Query{})
		if err != nil || done.Done != 1 {
			t.Errorf("redriven %+v, %v; one letter was expected, which is void", done, err)
		}
		w.eachOnce(sink, 1)
		c.clean()
	})
}

// fencingLetters has something happen between a letter and what follows it.
type fencingLetters struct {
	deadletter.Store
	then func(deadletter.Letter)
}

func (l fencingLetters) Put(ctx context.Context, ls []deadletter.Letter) error {
	err := l.Store.Put(ctx, ls)
	l.then(ls[0])
	return err
}

func TestNotPromised_AtMostOnceLosesWhatAWorkerHasInHandWhenItDies(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		cfg := w.atMostOnce()
		cfg.Handler = consumer.Each(func(ctx context.Context, r consumer.Record) error {
			if string(r.Data) == "2" {
				<-ctx.Done()
				return ctx.Err()
			}
			w.saw(r)
			return nil
		})
		cfg.Stop.Drain = time.Second
		w.put(0, 5)
		c := w.start(cfg)
		w.until("1 is handled", func() bool { return len(w.values()) == 2 })
		c.crash()
		second := w.start(w.atMostOnce())
		<-time.After(10 * time.Minute)
		second.clean()
		if n := len(w.values()); n != 2 {
			t.Errorf("%d records were handled, and those that were read and not handled were expected to be lost: %v", n, w.values())
		}
	})
}

func TestNotPromised_AKeyThatOneOwnerCannotHaveAppliesItsRecordTwice(t *testing.T) {
	for _, when := range []int64{1, 2} {
		t.Run(fmt.Sprint("owner ", when), func(t *testing.T) {
			inWorld(t, nil, func(t *testing.T, w *world) {
				sink := memdedup.New()
				late := &lateSink{Sink: sink}
				late.late.Store(true)
				cfg := w.once(late)
				var failing atomic.Bool
				cfg.Order = consumer.Order{By: consumer.PerKey, Key: func(r consumer.Record) (string, error) {
					if string(r.Data) == "3" && failing.CompareAndSwap(true, false) {
						return "", errNo
					}
					return "key " + string(r.Data), nil
				}}
				failing.Store(when == 1)
				w.put(0, 6)
				first := w.start(cfg)
				w.until("applied", func() bool { return applied(sink, "5") == 1 && applied(sink, "3") == 1 })
				first.crash()
				failing.Store(when == 2)
				late.late.Store(false)
				second := w.start(cfg)
				w.until("3 applied twice", func() bool { return applied(sink, "3") == 2 })
				second.clean()
			})
		})
	}
}

// What is handled past the low of a sink – by workers without it, or in no order – is applied again when the sink decides again.
func TestNotPromised_WhatIsHandledPastASinkIsAppliedAgain(t *testing.T) {
	for name, past := range map[string]func(cfg *consumer.Config, w *world){
		"without the sink": func(cfg *consumer.Config, w *world) {
			cfg.Delivery, cfg.Handler = consumer.AtLeastOnce, w.config().Handler
		},
		"in no order": func(cfg *consumer.Config, _ *world) {
			cfg.Order.By = consumer.Unordered
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(t *testing.T, w *world) {
				sink := memdedup.New()
				times := func(i int) int {
					v := strconv.Itoa(i)
					n := applied(sink, v)
					for _, seen := range w.values() {
						if seen == v {
							n++
						}
					}
					return n
				}
				run := func(cfg consumer.Config, last, want int) {
					c := w.start(cfg)
					w.until("the last one is handled", func() bool { return times(last) == want })
					c.clean()
				}
				w.put(0, 5)
				run(w.once(sink), 4, 1)
				w.put(5, 10)
				cfg := w.once(sink)
				past(&cfg, w)
				run(cfg, 9, 1)
				run(w.once(sink), 9, 2)
				for i := range 10 {
					if got, want := times(i), 1+i/5; got != want {
						t.Errorf("value %d was handled %d times, and %d were expected", i, got, want)
					}
				}
			})
		})
	}
}
