package consumer_test

import (
	"context"
	"errors"
	"fmt"
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
)

// once is a consumer that counts each value in a sink: how often it was applied.
func (w *world) once(sink dedup.Effects[*memdedup.Tx]) consumer.Config {
	cfg := w.config()
	cfg.Checkpoint = checkpoint.Every(time.Hour) // a crash leaves much to be delivered again
	cfg.Delivery = consumer.ExactlyOnce
	cfg.Handler = consumer.Once(sink, func(_ context.Context, tx *memdedup.Tx, fresh []consumer.Record) error {
		for _, r := range fresh {
			count(tx, string(r.Data))
		}
		return nil
	})
	cfg.Hooks.Resumed = func(e consumer.Resumed) { w.event(e) }
	return cfg
}

func count(tx *memdedup.Tx, name string) {
	n, _ := tx.Get(name)
	before, _ := strconv.Atoi(string(n))
	tx.Set(name, []byte(strconv.Itoa(before+1)))
}

// applied is how often the value was.
func applied(sink *memdedup.Sink, name string) int {
	n, _ := sink.Get(name)
	times, _ := strconv.Atoi(string(n))
	return times
}

// eachOnce waits until the values below n are applied, gives repeats the time to come, and compares.
func (w *world) eachOnce(sink *memdedup.Sink, n int) {
	w.t.Helper()
	w.until(fmt.Sprintf("%d values applied", n), func() bool {
		for i := range n {
			if applied(sink, strconv.Itoa(i)) == 0 {
				return false
			}
		}
		return true
	})
	<-time.After(time.Minute)
	for i := range n {
		if times := applied(sink, strconv.Itoa(i)); times != 1 {
			w.t.Errorf("value %d was applied %d times", i, times)
		}
	}
}

// crash has a consumer lose its leases as if its host had died: the store is cut off, and it stores nothing.
func (r *running) crash() {
	r.w.store.cut.Store(true)
	r.cancel()
	<-r.ended
	r.w.store.cut.Store(false)
}

// Hazard 28: a crash after the effect and before the checkpoint.
func TestHazard28_EffectsStandOnceAcrossACrash(t *testing.T) {
	for _, by := range []consumer.OrderBy{consumer.PerShard, consumer.PerKey, consumer.Unordered} {
		t.Run(by.String(), func(t *testing.T) {
			inWorld(t, nil, func(_ *testing.T, w *world) {
				sink := memdedup.New()
				cfg := w.once(sink)
				cfg.Order.By = by
				w.put(0, 50)
				first := w.start(cfg)
				w.until("49 applied", func() bool { return applied(sink, "49") == 1 })
				first.crash()
				w.put(50, 100)
				second := w.start(cfg)
				w.eachOnce(sink, 100)
				second.clean()
				resumed := told[consumer.Resumed](w)
				if by == consumer.PerShard && (len(resumed) == 0 || !resumed[0].Lease.IsZero() || resumed[0].Sink.IsZero()) {
					t.Errorf("resumed: %+v; want a sink that is ahead of the lease", resumed)
				}
			})
		})
	}
}

// The sink failed over behind the lease: what it lacks is read and applied again, though the lease says more.
func TestASinkBehindTheLeaseIsCaughtUp(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		held := memdedup.New()
		ps := w.put(0, 20)
		first := w.start(w.once(held))
		w.until("19 applied", func() bool { return applied(held, "19") == 1 })
		first.clean()
		shard := told[consumer.Assigned](w)[0].Shard
		// The new primary knows the first ten.
		behind := memdedup.New()
		m := dedup.Mark{App: "app", Stream: streamOf(t, w), Shard: shard, Epoch: 1, Session: "old", Position: ps[9]}
		if _, err := behind.Seal(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		second := w.start(w.once(behind))
		w.until("19 applied", func() bool { return applied(behind, "19") == 1 })
		for i := range 20 {
			if got, want := applied(behind, strconv.Itoa(i)), min(1, i/10); got != want {
				t.Errorf("value %d was applied %d times, want %d", i, got, want)
			}
		}
		second.clean()
		resumed := told[consumer.Resumed](w)
		if len(resumed) != 1 || resumed[0].Sink != ps[9] || resumed[0].Lease != ps[19] {
			t.Errorf("resumed: %+v, want from %s though the lease has %s", resumed, ps[9], ps[19])
		}
	})
}

func streamOf(t *testing.T, w *world) string {
	t.Helper()
	st, err := w.source.Stream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return st.Incarnation
}

// The lease table was restored from a backup, and hands out epochs that the sink has seen: the owner lifts the epoch above it.
func TestAnEpochThatTheSinkKnowsToBeTooLowIsLifted(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		sink := memdedup.New()
		w.put(0, 10)
		first := w.start(w.once(sink))
		w.until("9 applied", func() bool { return applied(sink, "9") == 1 })
		shard := told[consumer.Assigned](w)[0].Shard
		first.clean()
		m := dedup.Mark{App: "app", Stream: streamOf(t, w), Shard: shard, Epoch: 70, Session: "of the table that was lost"}
		if _, err := sink.Seal(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		w.put(10, 20)
		second := w.start(w.once(sink))
		w.eachOnce(sink, 20)
		second.clean()
		refused := 0
		for _, e := range told[consumer.Lost](w) {
			if e.Reason == consumer.ReasonRefused && errors.Is(e.Err, dedup.ErrFenced) {
				refused++
			}
		}
		assigned := told[consumer.Assigned](w)
		if last := assigned[len(assigned)-1]; refused != 1 || last.Epoch != 71 {
			t.Errorf("refused %d times; the last epoch is %d, want 71 after one refusal", refused, last.Epoch)
		}
	})
}

// What a handler says of its batch under a write that was rolled back acknowledges nothing, and isolates the record that failed.
func TestAPartialErrorUnderARolledBackWriteAcknowledgesNothing(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		sink, letters := memdedup.New(), memletters.New()
		cfg := w.once(sink)
		var calls []string
		cfg.Handler = consumer.Once(sink, func(_ context.Context, tx *memdedup.Tx, fresh []consumer.Record) error {
			var vs []string
			for i, r := range fresh {
				vs = append(vs, string(r.Data))
				if string(r.Data) == "5" {
					calls = append(calls, strings.Join(vs, " ")+" fails")
					return &consumer.PartialError{Done: i, Err: errors.New("poison")}
				}
				count(tx, string(r.Data))
			}
			calls = append(calls, strings.Join(vs, " "))
			return nil
		})
		cfg.Failure = consumer.Failure{MaxAttempts: 2, Then: consumer.DeadLetter, Letters: letters}
		w.put(0, 8)
		c := w.start(cfg)
		w.until("7 applied", func() bool { return applied(sink, "7") == 1 })
		c.clean()
		for i := range 8 {
			want := 1
			if i == 5 {
				want = 0
			}
			if got := applied(sink, strconv.Itoa(i)); got != want {
				t.Errorf("value %d was applied %d times; the calls: %q", i, got, calls)
			}
		}
		if len(calls) != 4 || calls[2] != "5 fails" {
			t.Errorf("the calls: %q; want the batch, what is before the poison, the poison, the rest", calls)
		}
	})
}

// Its number is that among the fresh records, and some of the batch may have been applied before.
func TestAPartialErrorNamesTheRecordAmongTheFreshOnes(t *testing.T) {
	sink := memdedup.New()
	rs := []consumer.Record{{Shard: "a", Epoch: 1}, {Shard: "a", Epoch: 1}, {Shard: "a", Epoch: 1}}
	for i := range rs {
		rs[i].Position = checkpoint.Offset(uint64(i))
	}
	if _, err := sink.Seal(t.Context(), rs[0].Mark()); err != nil { // the first one is done
		t.Fatal(err)
	}
	err := consumer.Once(sink, func(context.Context, *memdedup.Tx, []consumer.Record) error {
		return &consumer.PartialError{Done: 1, Err: errors.New("poison")}
	}).Handle(t.Context(), rs)
	var p *consumer.PartialError
	if !errors.As(err, &p) || p.Done != 2 {
		t.Errorf("%v; want record 2 of the batch to be named", err)
	}
}

// Hazard 31: a sink that is down stops its shard, spends no attempt, and nothing is given up.
func TestHazard31_ASinkThatIsDownStopsItsShard(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		sink := &downSink{Sink: memdedup.New()}
		cfg := w.once(sink)
		var given atomic.Int64
		cfg.Hooks.GivenUp = func(consumer.GivenUp) { given.Add(1) }
		cfg.Failure = consumer.Failure{MaxAttempts: 2, Then: consumer.Skip}
		w.put(0, 5)
		c := w.start(cfg)
		w.until("4 applied", func() bool { return applied(sink.Sink, "4") == 1 })
		sink.down.Store(true)
		w.put(5, 10)
		<-time.After(10 * time.Minute)
		if n := given.Load(); n != 0 || applied(sink.Sink, "5") != 0 {
			t.Errorf("%d records were given up, and 5 was applied %d times, while the sink was down", n, applied(sink.Sink, "5"))
		}
		sink.down.Store(false)
		w.eachOnce(sink.Sink, 10)
		c.clean()
	})
}

// downSink is a sink that can be down.
type downSink struct {
	*memdedup.Sink
	down atomic.Bool
}

func (s *downSink) gone() error {
	if s.down.Load() {
		return fmt.Errorf("%w: nobody answers", dedup.ErrUnavailable)
	}
	return nil
}

func (s *downSink) Seal(ctx context.Context, m dedup.Mark) (checkpoint.Position, error) {
	if err := s.gone(); err != nil {
		return checkpoint.Position{}, err
	}
	return s.Sink.Seal(ctx, m)
}

func (s *downSink) Advance(ctx context.Context, m dedup.Mark) error {
	return errors.Join(s.gone(), s.Sink.Advance(ctx, m))
}

func (s *downSink) Apply(ctx context.Context, ms []dedup.Mark, f func(*memdedup.Tx, []int) error) error {
	if err := s.gone(); err != nil {
		return err
	}
	return s.Sink.Apply(ctx, ms, f)
}

// Hazard 32: a record that was given up is applied by its redrive, once.
func TestHazard32_ARedrivenRecordIsAppliedOnce(t *testing.T) {
	for _, by := range []consumer.OrderBy{consumer.PerShard, consumer.PerKey, consumer.Unordered} {
		t.Run(by.String(), func(t *testing.T) {
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
				cfg.Order.By = by
				cfg.Failure = consumer.Failure{Then: consumer.DeadLetter, Letters: letters}
				w.put(0, 6)
				c := w.start(cfg)
				w.until("5 applied, and a letter", func() bool { return applied(sink, "5") == 1 && c.Status().Shards[0].GivenUp == 1 })
				mended.Store(true)
				// Two at once, as after a crash of the first behind its effect.
				kept := &keptLetters{Store: letters}
				cfg.Failure.Letters = kept
				other, err := consumer.New(cfg)
				if err != nil {
					t.Fatal(err)
				}
				for range 2 {
					if done, err := other.Redrive(t.Context(), deadletter.Query{}); err == nil {
						t.Errorf("redriven %+v, want the settling to fail", done)
					}
				}
				if done, err := c.Redrive(t.Context(), deadletter.Query{}); err != nil || done.Done != 1 {
					t.Errorf("redriven %+v, %v; want the letter to go", done, err)
				}
				w.eachOnce(sink, 6)
				c.clean()
			})
		})
	}
}

// keptLetters loses its connection whenever a letter is to go.
type keptLetters struct{ deadletter.Store }

func (keptLetters) Settle(context.Context, deadletter.Claim, string, *deadletter.Failure) error {
	return errors.New("no connection")
}

// What is rolled back is the write, which is inside of what the handler says of the record: those before it were written by themselves.
func TestAWriteOfOneRecordThatIsRolledBackLeavesThoseBeforeItDone(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		sink := memdedup.New()
		cfg := w.once(sink)
		cfg.Sink, cfg.Batch.Size = sink, 10
		handled := map[string]int{}
		cfg.Handler = consumer.Each(func(ctx context.Context, r consumer.Record) error {
			handled[string(r.Data)]++
			return sink.Apply(ctx, []dedup.Mark{r.Mark()}, func(tx *memdedup.Tx, _ []int) error {
				if string(r.Data) == "3" && r.Attempt < 3 {
					return errors.New("no")
				}
				count(tx, string(r.Data))
				return nil
			})
		})
		w.put(0, 6)
		c := w.start(cfg)
		w.eachOnce(sink, 6)
		c.clean()
		if handled["1"] != 1 {
			t.Errorf("handled %v", handled)
		}
	})
}
