package consumer_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/memdedup"
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
		c := w.start(config(first))
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
		sink.late.Store(false)
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
		m := dedup.Mark{App: "app", Stream: streamOf(t, w), Shard: parent, Epoch: 1, Session: "of the table that was lost", Position: checkpoint.End()}
		if _, err := sink.Seal(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		if _, _, err := w.source.Split(parent); err != nil {
			t.Fatal(err)
		}
		w.put(5, 10)
		c := w.start(w.once(sink))
		w.until("9 applied", func() bool { return applied(sink, "9") == 1 })
		c.clean()
		for i := range 10 {
			if got, want := applied(sink, strconv.Itoa(i)), min(1, i/5); got != want {
				t.Errorf("value %d was applied %d times, want %d", i, got, want)
			}
		}
		if !slices.ContainsFunc(told[consumer.Lost](w), func(e consumer.Lost) bool { return e.Shard == parent && e.Reason == consumer.ReasonEnded }) {
			t.Error("the parent has not ended")
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
