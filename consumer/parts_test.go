package consumer_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/deadletter/memletters"
)

// oddLetters is a store that panics at first, counts its set-ups, and may be made wrongly.
type oddLetters struct {
	deadletter.Store
	puts, setups atomic.Int32
	wrong        error
}

func (s *oddLetters) Put(ctx context.Context, ls []deadletter.Letter) error {
	if s.puts.Add(1) < 3 {
		panic("not made for this")
	}
	return s.Store.Put(ctx, ls)
}

func (s *oddLetters) Setup(context.Context) error {
	if s.setups.Add(1) == 1 {
		return errors.New("the tables are being made")
	}
	return nil
}

func (s *oddLetters) Validate() error { return s.wrong }

// oddLimiter panics at first.
type oddLimiter struct{ calls atomic.Int32 }

func (l *oddLimiter) Wait(context.Context, int) error {
	if l.calls.Add(1) < 3 {
		panic("not made for this either")
	}
	return nil
}

func TestPanicsOfPartsAreTroubleThatPasses(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		store, limiter := &oddLetters{Store: memletters.New()}, &oddLimiter{}
		cfg := w.config()
		cfg.Flow.Limiter = limiter
		cfg.Failure = consumer.Failure{MaxAttempts: 1, Then: consumer.DeadLetter, Letters: store}
		handle := cfg.Handler
		cfg.Handler = consumer.Each(func(ctx context.Context, r consumer.Record) error {
			if string(r.Data) == "1" {
				return errors.New("no")
			}
			return handle.Handle(ctx, []consumer.Record{r})
		})
		w.put(0, 3)
		c := w.start(cfg)
		w.until("the records", func() bool { return len(w.values()) == 2 })
		c.clean()
		if n := store.setups.Load(); n != 2 {
			t.Errorf("Setup, which failed once, was called %d times, want twice", n)
		}
		for part, want := range map[string]int{"Config.Failure.Letters panicked": 2, "Config.Flow.Limiter panicked": 2, "set up Config.Failure.Letters": 1} {
			n := 0
			for _, e := range told[consumer.Failed](w) {
				if strings.Contains(e.Err.Error(), part) {
					n++
				}
			}
			if n != want {
				t.Errorf("Hooks.Error was told %d times of %q, want %d", n, part, want)
			}
		}
	})
}

func TestNewRefusesLettersThatWereMadeWrongly(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		cfg := w.config()
		cfg.Failure = consumer.Failure{Then: consumer.DeadLetter, Letters: &oddLetters{wrong: errors.New("no database")}}
		if _, err := consumer.New(cfg); err == nil || !strings.Contains(err.Error(), "Config.Failure.Letters: no database") {
			t.Errorf("New: %v", err)
		}
	})
}

// A letter whose record a handler only kept must not be removed as if it were done.
func TestARedriveRefusesToDefer(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		store := memletters.New()
		cfg := w.config()
		cfg.Failure = consumer.Failure{MaxAttempts: 1, Then: consumer.DeadLetter, Letters: store}
		var defers atomic.Bool
		cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
			if !defers.Load() {
				return errors.New("no")
			}
			consumer.Defer(r)
			return nil
		})
		w.put(0, 1)
		c := w.start(cfg)
		w.until("the letter", func() bool { return c.Status().Shards != nil && c.Status().Shards[0].GivenUp == 1 })
		defers.Store(true)
		done, err := c.Redrive(t.Context(), deadletter.Query{})
		if err != nil || done.Done != 0 || done.Failed != 1 {
			t.Errorf("redriven: %+v, %v; want that it failed", done, err)
		}
		c.clean()
	})
}
