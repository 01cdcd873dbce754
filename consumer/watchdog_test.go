package consumer_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/memsource"
	"github.com/runnelhq/runnel/lease"
)

// watched is a config whose handler gets stuck on every record of one shard for which stuck says so, until it returns.
func (w *world) watched(name, shard string, stuck func(ctx context.Context, worker string)) consumer.Config {
	cfg := w.config()
	cfg.Worker = name
	cfg.Timing = lease.Timing{Watchdog: 20 * time.Second}
	cfg.Handler = consumer.Each(func(ctx context.Context, r consumer.Record) error {
		if r.Shard == shard {
			stuck(ctx, name)
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
		w.saw(r)
		return nil
	})
	return cfg
}

func (w *world) putTo(shard string, from, to int) {
	w.t.Helper()
	for _, data := range numbers(from, to) {
		if _, err := w.source.PutTo(shard, shard, []byte(data)); err != nil {
			w.t.Fatal(err)
		}
	}
}

// of is the data of what was handled of one shard, in order.
func (w *world) of(shard string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var vs []string
	for _, r := range w.seen {
		if r.Shard == shard {
			vs = append(vs, string(r.Data))
		}
	}
	return vs
}

// A handler that obeys its context costs only its own shard, which is given up and handled again.
func TestTheWatchdogTakesOneShardFromAHandlerThatReturns(t *testing.T) {
	inWorld(t, &memsource.Config{Shards: 2}, func(t *testing.T, w *world) {
		shards := w.source.OpenShards()
		var once sync.Once
		var cause error
		var stuckFor time.Duration
		c := w.start(w.watched("one", shards[0], func(ctx context.Context, _ string) {
			once.Do(func() {
				begun := time.Now()
				<-ctx.Done()
				cause, stuckFor = context.Cause(ctx), time.Since(begun)
			})
		}))
		w.until("both shards", func() bool { return len(c.Status().Shards) == 2 })
		session := w.sessions(t)
		w.putTo(shards[0], 0, 3)
		w.putTo(shards[1], 0, 3)
		w.until("all records", func() bool { return len(w.of(shards[0])) == 3 && len(w.of(shards[1])) == 3 })
		if !errors.Is(cause, consumer.ErrStuck) || stuckFor != 20*time.Second {
			t.Errorf("the context of the stuck handler ended after %v with %v; want 20 s and ErrStuck", stuckFor, cause)
		}
		if lost := told[consumer.Lost](w); len(lost) != 1 || lost[0].Shard != shards[0] || lost[0].Reason != consumer.ReasonStuck || lost[0].Err != nil {
			t.Errorf("given up: %+v; want the stuck shard alone, with its position stored", lost)
		}
		if again := w.sessions(t); !slices.Equal(session, again) {
			t.Errorf("sessions %v, and %v before: the session of a handler that returned goes on", again, session)
		}
		for _, shard := range shards {
			if got := w.of(shard); !slices.Equal(got, numbers(0, 3)) {
				t.Errorf("%s: handled %v, want each once", shard, got)
			}
		}
		c.clean()
	})
}

// A handler that does not return cannot be freed of its shard: its session ends, hands over its other shards, and is followed by another.
func TestTheWatchdogEndsTheSessionOfAHandlerThatDoesNotReturn(t *testing.T) {
	inWorld(t, &memsource.Config{Shards: 4}, func(t *testing.T, w *world) {
		shards := w.source.OpenShards()
		release := make(chan struct{})
		var mu sync.Mutex
		var held string
		stuck := func(_ context.Context, worker string) {
			mu.Lock()
			first := held == ""
			if first {
				held = worker
			}
			mu.Unlock()
			if first {
				<-release
			}
		}
		all := []*running{w.start(w.watched("one", shards[0], stuck)), w.start(w.watched("two", shards[0], stuck))}
		w.until("two shards each", func() bool { return len(all[0].Status().Shards) == 2 && len(all[1].Status().Shards) == 2 })
		before := w.sessions(t)
		begun := time.Now()
		for _, shard := range shards {
			w.putTo(shard, 0, 50)
		}
		w.until("the stuck shard handled by the other worker", func() bool { return len(w.of(shards[0])) == 50 })
		if took := time.Since(begun); took > 20*time.Second+5*time.Second+5*time.Second {
			t.Errorf("the stuck shard was handled %v after it got stuck; want the watchdog's 20 s, the grace of 5 s and two polls", took)
		}
		for _, shard := range shards {
			if got := w.of(shard); !slices.Equal(got, numbers(0, 50)) {
				t.Errorf("%s: handled %v, want each once and in order", shard, got)
			}
		}
		after := w.sessions(t)
		kept := slices.DeleteFunc(slices.Clone(after), func(s string) bool { return !slices.Contains(before, s) })
		if len(after) != 2 || len(kept) != 1 {
			t.Errorf("sessions %v after %v: want one to go on and one to be new", after, before)
		}
		close(release)
		w.until("two shards each again", func() bool { return len(all[0].Status().Shards) == 2 && len(all[1].Status().Shards) == 2 })
		for _, c := range all {
			c.clean()
		}
	})
}

func TestWithoutAWatchdogAHandlerMayTakeAsLongAsItLikes(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		cfg := w.config()
		cfg.Handler = consumer.Each(func(ctx context.Context, r consumer.Record) error {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(20 * time.Minute):
			}
			w.saw(r)
			return nil
		})
		c := w.start(cfg)
		w.put(0, 2)
		w.expect(numbers(0, 2))
		c.clean()
	})
}

// sessions are the live sessions that take part.
func (w *world) sessions(t *testing.T) []string {
	t.Helper()
	a, err := lease.Operator{Store: w.store, App: "app"}.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, worker := range a.Workers {
		if worker.Alive {
			names = append(names, worker.Session)
		}
	}
	return names
}
