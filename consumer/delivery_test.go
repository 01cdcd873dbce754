package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/memsource"
	"github.com/runnelhq/runnel/deadletter/memletters"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/memdedup"
)

// atMostOnce is a consumer that hands nothing out twice.
func (w *world) atMostOnce() consumer.Config {
	cfg := w.config()
	cfg.Delivery, cfg.Checkpoint, cfg.Failure.Then = consumer.AtMostOnce, nil, consumer.Skip
	return cfg
}

func (w *world) noRepeats() {
	w.t.Helper()
	vs := w.values()
	slices.Sort(vs)
	if twice := len(vs) - len(slices.Compact(slices.Clone(vs))); twice != 0 {
		w.t.Errorf("%d records were handed out again: %v", twice, vs)
	}
}

func TestAtMostOnceRepeatsNothingAfterACrash(t *testing.T) {
	for _, by := range []consumer.OrderBy{consumer.PerShard, consumer.PerKey, consumer.Unordered} {
		t.Run(by.String(), func(t *testing.T) {
			inWorld(t, nil, func(t *testing.T, w *world) {
				cfg := w.atMostOnce()
				cfg.Order.By = by
				w.put(0, 20)
				first := w.start(cfg)
				w.until("some are handled", func() bool { return len(w.values()) >= 5 })
				first.crash()
				w.put(20, 40)
				second := w.start(cfg)
				w.until("39 is handled", func() bool { return slices.Contains(w.values(), "39") })
				second.clean()
				w.noRepeats()
			})
		})
	}
}

// What was read and not handled at a stop would be read by nobody again.
func TestAtMostOnceHandlesWhatItHasReadBeforeItStops(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		cfg := w.atMostOnce()
		begun := make(chan struct{}, 100)
		cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
			begun <- struct{}{}
			<-time.After(100 * time.Millisecond)
			w.saw(r)
			return nil
		})
		w.put(0, 50)
		first := w.start(cfg)
		<-begun
		first.clean()
		second := w.start(w.atMostOnce())
		w.expect(numbers(0, 50))
		second.clean()
	})
}

func TestAtMostOnceGivesUpAtTheFirstFailure(t *testing.T) {
	for _, batch := range []int{1, 4} {
		inWorld(t, nil, func(t *testing.T, w *world) {
			cfg := w.atMostOnce()
			cfg.Batch.Size = batch
			var given atomic.Int64
			cfg.Hooks.GivenUp = func(consumer.GivenUp) { given.Add(1) }
			cfg.Handler = consumer.HandlerFunc(func(_ context.Context, rs []consumer.Record) error {
				for i, r := range rs {
					w.saw(r)
					if string(r.Data) == "5" {
						return &consumer.PartialError{Done: i, Err: errors.New("no")}
					}
				}
				return nil
			})
			w.put(0, 12)
			c := w.start(cfg)
			w.until("11 is handled", func() bool { return slices.Contains(w.values(), "11") })
			c.clean()
			w.noRepeats()
			if n, want := given.Load(), int64(batch-1); n != max(1, want) {
				t.Errorf("batches of %d: %d records were given up, want the one that failed and those of its call behind it", batch, n)
			}
		})
	}
}

func TestADeliveryThatCouldNotKeepItsPromiseIsRefused(t *testing.T) {
	f := func(context.Context, *memdedup.Tx, []consumer.Record) error { return nil }
	one := memdedup.New()
	for _, c := range []struct {
		name   string
		change func(c *consumer.Config)
		want   string
	}{
		{"unknown", func(c *consumer.Config) { c.Delivery = 7 }, "Delivery is 7"},
		{"exactly once without a sink", func(c *consumer.Config) { c.Delivery = consumer.ExactlyOnce }, "Sink is nil, and Delivery is ExactlyOnce"},
		{"a sink without the scope", func(c *consumer.Config) {
			c.Sink, c.Order.By = shardSink{one}, consumer.PerKey
		}, "tells no repeats PerKey"},
		{"two sinks", func(c *consumer.Config) { c.Handler, c.Sink = consumer.Once(one, f), memdedup.New() }, "another than that of the handler"},
		{"once without a sink", func(c *consumer.Config) { c.Handler = consumer.Once[*memdedup.Tx](nil, f) }, "Handler was made by consumer.Once without"},
		{"once without a function", func(c *consumer.Config) { c.Handler = consumer.Once[*memdedup.Tx](one, nil) }, "Handler was made by consumer.Once without"},
		{"at most once with a sink", func(c *consumer.Config) {
			c.Delivery, c.Failure.Then, c.Sink = consumer.AtMostOnce, consumer.Skip, one
		}, "Sink is given"},
		{"at most once with a strategy", func(c *consumer.Config) {
			c.Delivery, c.Failure.Then, c.Checkpoint = consumer.AtMostOnce, consumer.Skip, checkpoint.EveryRecord{}
		}, "Checkpoint is given"},
		{"at most once that blocks", func(c *consumer.Config) { c.Delivery = consumer.AtMostOnce }, "Failure.Then is Block"},
		{"at most once that parks", func(c *consumer.Config) {
			c.Delivery, c.Order.By = consumer.AtMostOnce, consumer.PerKey
			c.Failure = consumer.Failure{Then: consumer.ParkKey, Letters: memletters.New()}
		}, "Failure.Then is ParkKey"},
		{"at most once with attempts", func(c *consumer.Config) {
			c.Delivery, c.Failure.Then, c.Failure.MaxAttempts = consumer.AtMostOnce, consumer.Skip, 3
		}, "Failure.MaxAttempts is 3"},
		{"at most once with halves", func(c *consumer.Config) {
			c.Delivery, c.Failure.Then, c.Failure.Split = consumer.AtMostOnce, consumer.Skip, consumer.Bisect
		}, "Failure.Split is Bisect"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := (&world{source: memsource.New("orders", nil), store: &cutStore{}}).config()
			cfg.Checkpoint = nil
			c.change(&cfg)
			if _, err := consumer.New(cfg); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want it to say %q", err, c.want)
			}
		})
	}
}

// shardSink knows marks of shards alone.
type shardSink struct{ *memdedup.Sink }

func (shardSink) Terms() dedup.Terms { return dedup.Terms{Scopes: []dedup.Scope{dedup.PerShard}} }

// briefSink forgets marks of records.
type briefSink struct{ *memdedup.Sink }

func (s briefSink) Terms() dedup.Terms {
	t := s.Sink.Terms()
	t.TTL = time.Hour
	return t
}

// Only the service knows how long it holds records.
func TestMarksThatExpireBeforeTheirRecordsAreRefusedByRun(t *testing.T) {
	inWorld(t, &memsource.Config{Retention: 24 * time.Hour}, func(t *testing.T, w *world) {
		cfg := w.config()
		cfg.Sink, cfg.Order.By = briefSink{memdedup.New()}, consumer.Unordered
		if err := consumer.Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "1h0m0s") || !strings.Contains(err.Error(), "24h0m0s") {
			t.Errorf("%v; want an error that names both times", err)
		}
	})
}

func TestAtMostOnceRepeatsNothingWhateverTheErrorSays(t *testing.T) {
	for name, why := range map[string]func(i int) error{
		"unavailable": func(int) error { return fmt.Errorf("%w: no", dedup.ErrUnavailable) },
		"rolled back": func(i int) error {
			return &dedup.RolledBackError{Err: &consumer.PartialError{Done: i, Err: errNo}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(t *testing.T, w *world) {
				cfg := w.atMostOnce()
				cfg.Batch.Size = 4
				cfg.Handler = consumer.HandlerFunc(func(_ context.Context, rs []consumer.Record) error {
					for _, r := range rs {
						w.saw(r)
					}
					for i, r := range rs {
						if string(r.Data) == "5" {
							return why(i)
						}
					}
					return nil
				})
				w.put(0, 12)
				c := w.start(cfg)
				<-time.After(time.Minute)
				c.clean()
				w.noRepeats()
			})
		})
	}
}

func TestAtMostOnceWaitsForNoBatchToFillWhenItStops(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		cfg := w.atMostOnce()
		cfg.Batch.Size, cfg.Batch.Wait = 10, time.Hour
		cfg.Handler = consumer.HandlerFunc(func(_ context.Context, rs []consumer.Record) error {
			for _, r := range rs {
				w.saw(r)
			}
			return nil
		})
		w.put(0, 3)
		c := w.start(cfg)
		<-time.After(time.Minute)
		c.clean()
		c = w.start(cfg)
		<-time.After(2 * time.Hour)
		c.clean()
		if n := len(w.values()); n != 3 {
			t.Errorf("%d handled, want 3", n)
		}
	})
}

func TestAtMostOnceLosesNothingToAStopWhileAPositionIsStored(t *testing.T) {
	for d := range 60 {
		inWorld(t, nil, func(t *testing.T, w *world) {
			cfg := w.atMostOnce()
			cfg.Leases = slowStore{w.store}
			c := w.start(cfg)
			<-time.After(time.Minute)
			w.put(0, 10)
			<-time.After(time.Duration(d) * 5 * time.Millisecond)
			c.clean()
			c = w.start(cfg)
			<-time.After(time.Minute)
			c.clean()
			if n := len(w.values()); n != 10 {
				t.Errorf("stopped after %d ms: %d handled, want 10: %v", d*5, n, w.values())
			}
			w.noRepeats()
		})
	}
}

type fatSink struct {
	*memdedup.Sink
	_ []int
}

func TestASinkThatCannotBeComparedIsItself(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		cfg := w.once(fatSink{Sink: memdedup.New()})
		if _, err := consumer.New(cfg); err != nil {
			t.Error(err)
		}
	})
}

func TestAtMostOnceHandlesWhatItHasReadBeforeItStopsWhilePaused(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		cfg := w.atMostOnce()
		begun := make(chan struct{}, 100)
		cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
			begun <- struct{}{}
			<-time.After(100 * time.Millisecond)
			w.saw(r)
			return nil
		})
		w.put(0, 50)
		first := w.start(cfg)
		<-begun
		first.Pause()
		<-time.After(time.Minute)
		first.clean()
		second := w.start(w.atMostOnce())
		<-time.After(time.Minute)
		second.clean()
		if n := len(w.values()); n != 50 {
			t.Errorf("%d handled, want 50", n)
		}
	})
}
