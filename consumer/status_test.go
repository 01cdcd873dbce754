package consumer_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/memsource"
	"github.com/runnelhq/runnel/lease"
)

// What a dashboard gets: texts of errors, and a distance that grows while a shard waits.
func TestStatusOfAShardThatWaits(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		cfg := w.config()
		cfg.Handler = consumer.Each(func(context.Context, consumer.Record) error { return errors.New("the sink is full") })
		w.put(0, 3)
		c := w.start(cfg)
		<-time.After(time.Hour)
		s := c.Status()
		if len(s.Shards) != 1 || s.Shards[0].Behind < 59*time.Minute {
			t.Errorf("the shard has waited for an hour, and the status says %+v", s.Shards)
		}
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{`"LastError":"the sink is full"`, `"Failing":"the sink is full"`, `"Name":"app"`, `"Stored":""`} {
			if !strings.Contains(string(b), want) {
				t.Errorf("the status as JSON has no %s:\n%s", want, b)
			}
		}
		c.clean()
	})
}

// A record that failed once and is done then holds up its shard no longer.
func TestStatusOfAShardThatRecovered(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		cfg := w.config()
		cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
			if r.Attempt == 1 {
				return errors.New("the sink is full")
			}
			w.saw(r)
			return nil
		})
		w.put(0, 1)
		c := w.start(cfg)
		w.expect(numbers(0, 1))
		if s := c.Status().Shards[0]; s.Failing != nil || s.Attempt != 0 || !s.Since.IsZero() {
			t.Errorf("the record is done, and the status says %+v", s)
		}
		c.clean()
	})
}

// What the hooks are told adds up: dashboards count with it.
func TestHooksAddUp(t *testing.T) {
	for _, closed := range []bool{true, false} {
		inWorld(t, &memsource.Config{PageRecords: 7}, func(t *testing.T, w *world) {
			var mu sync.Mutex
			var read, handled, stored, ends int
			count := func(n *int, by int) {
				mu.Lock()
				defer mu.Unlock()
				*n += by
			}
			cfg := w.config()
			cfg.Checkpoint = checkpoint.EveryN(5)
			cfg.Hooks = consumer.JoinHooks(cfg.Hooks, consumer.Hooks{
				Page: func(e consumer.PageRead) {
					count(&read, e.Records)
					if e.End {
						count(&ends, 1)
					}
				},
				Handled:      func(e consumer.Handled) { count(&handled, e.Records) },
				Checkpointed: func(e consumer.Checkpointed) { count(&stored, e.Records) },
			})
			w.put(0, 51)
			wantEnds := 0
			if closed {
				wantEnds = 1
				if err := w.source.CloseShard(w.source.OpenShards()[0]); err != nil {
					t.Fatal(err)
				}
			}
			c := w.start(cfg)
			w.expect(numbers(0, 51))
			c.clean()
			if read != 51 || handled != 51 || stored != 51 || ends != wantEnds {
				t.Errorf("closed %v: the hooks were told of %d records read, %d handled, %d stored, %d ends; want 51, 51, 51 and %d", closed, read, handled, stored, ends, wantEnds)
			}
		})
	}
}

// Of a batch that says which record failed, only that one counts the failure.
func TestAttemptCountsARecordsOwnFailures(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		attempts := map[string]int{}
		cfg := w.config()
		cfg.Handler = consumer.HandlerFunc(func(_ context.Context, rs []consumer.Record) error {
			for i, r := range rs {
				attempts[string(r.Data)] = r.Attempt
				if string(r.Data) == "2" && r.Attempt < 5 {
					return &consumer.PartialError{Done: i, Err: errors.New("not yet")}
				}
				w.saw(r)
			}
			return nil
		})
		w.put(0, 4)
		c := w.start(cfg)
		w.expect(numbers(0, 4))
		c.clean()
		if attempts["1"] != 1 || attempts["2"] != 5 || attempts["3"] != 1 {
			t.Errorf("the attempts are %v", attempts)
		}
	})
}

// A consumer that is stopped before it could start says what kept it.
func TestRunSaysWhatKeptItFromStarting(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		cfg := w.config()
		cfg.Leases = setupStore{w.store, func() error { return errCut }}
		c := w.start(cfg)
		<-time.After(3 * time.Second)
		if err := c.stop(); !errors.Is(err, errCut) {
			t.Errorf("Run returned %v, want the failure of Setup", err)
		}
	})
}

// What no wait can mend ends Run at once.
func TestAStoreThatRefusesTheCallerEndsRun(t *testing.T) {
	for _, fact := range []error{lease.ErrDenied, lease.ErrTable} {
		inWorld(t, nil, func(t *testing.T, w *world) {
			cfg := w.config()
			cfg.Leases = setupStore{w.store, func() error { return fact }}
			begun := time.Now()
			c := w.start(cfg)
			<-c.ended
			if !errors.Is(c.err, fact) || time.Since(begun) > time.Second {
				t.Errorf("Run returned %v after %v, want %v at once", c.err, time.Since(begun), fact)
			}
		})
	}
}
