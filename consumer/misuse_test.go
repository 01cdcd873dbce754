package consumer_test

import (
	"context"
	"errors"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/memsource"
)

// A usual slip in Go: a nil pointer in an error that is not nil.
func TestATypedNilPartialErrorIsAFailure(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		cfg := w.config()
		cfg.Handler = consumer.HandlerFunc(func(_ context.Context, rs []consumer.Record) error {
			var p *consumer.PartialError
			return p
		})
		w.start(cfg)
		w.put(0, 5)
		w.until("it is told", func() bool { return len(told[consumer.Retried](w)) > 1 })
		if err := told[consumer.Retried](w)[0].Err; !strings.Contains(err.Error(), "nil *PartialError") {
			t.Errorf("told of %v", err)
		}
	})
}

func TestAHandlerThatFiltersItsSliceInPlace(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		cfg := w.config()
		fails := 1
		var got []string
		cfg.Handler = consumer.HandlerFunc(func(_ context.Context, rs []consumer.Record) error {
			if fails > 0 {
				fails--
				_ = slices.DeleteFunc(rs, func(r consumer.Record) bool { return string(r.Data) != "3" })
				return errors.New("down")
			}
			for _, r := range rs {
				got = append(got, string(r.Data))
			}
			return nil
		})
		w.put(0, 5)
		w.start(cfg)
		<-time.After(time.Minute)
		if !slices.Equal(got, numbers(0, 5)) {
			t.Errorf("delivered again %q", got)
		}
	})
}

func TestAHandlerThatEndsItsGoroutine(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		cfg := w.config()
		once := false
		cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
			if !once {
				once = true
				runtime.Goexit()
			}
			w.saw(r)
			return nil
		})
		w.put(0, 3)
		w.start(cfg)
		<-time.After(10 * time.Minute)
		if len(w.values()) != 3 {
			t.Errorf("handled %v; errors %v retried %v", w.values(), told[consumer.Failed](w), told[consumer.Retried](w))
		}
	})
}

func TestHooksMayAskForTheStatus(t *testing.T) {
	inWorld(t, &memsource.Config{Shards: 3}, func(t *testing.T, w *world) {
		cfg := w.config()
		var c *consumer.Consumer
		var mu sync.Mutex
		status := func() {
			mu.Lock()
			defer mu.Unlock()
			if c != nil {
				c.Status()
			}
		}
		cfg.Hooks = consumer.JoinHooks(cfg.Hooks, consumer.Hooks{
			Assigned: func(consumer.Assigned) { status() }, Lost: func(consumer.Lost) { status() },
			Page: func(consumer.PageRead) { status() }, Handled: func(consumer.Handled) { status() },
			Retried: func(consumer.Retried) { status() }, Checkpointed: func(consumer.Checkpointed) { status() },
			Gap: func(consumer.Gap) { status() }, Error: func(consumer.Failed) { status() },
		})
		fails := map[string]int{}
		cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
			r.Checkpoint()
			fails[r.ID()]++
			if fails[r.ID()] < 3 {
				panic("x")
			}
			w.saw(r)
			return nil
		})
		cfg.Flow.Budget = consumer.NewBudget(100_000)
		r := w.start(cfg)
		mu.Lock()
		c = r.Consumer
		mu.Unlock()
		w.put(0, 50)
		w.until("50", func() bool { return len(w.values()) == 50 })
		w.store.cut.Store(true)
		<-time.After(time.Minute)
		w.store.cut.Store(false)
		<-time.After(time.Minute)
		r.clean()
		if u := cfg.Flow.Budget.Used(); u != 0 {
			t.Errorf("budget holds %d", u)
		}
	})
}

func TestAVeryLargeNDoesNotStall(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		cfg := w.config()
		cfg.Checkpoint = checkpoint.EveryN(math.MaxInt)
		w.start(cfg)
		w.put(0, 5)
		<-time.After(time.Minute)
		if n := len(w.values()); n != 5 {
			t.Errorf("handled %d of 5", n)
		}
	})
}

// A hook that ends its goroutine, as FailNow does in a test, costs its shard an epoch and nothing more.
func TestAHookThatEndsItsGoroutine(t *testing.T) {
	for name, set := range map[string]func(h *consumer.Hooks, exit func()){
		"page":         func(h *consumer.Hooks, exit func()) { h.Page = func(consumer.PageRead) { exit() } },
		"handled":      func(h *consumer.Hooks, exit func()) { h.Handled = func(consumer.Handled) { exit() } },
		"checkpointed": func(h *consumer.Hooks, exit func()) { h.Checkpointed = func(consumer.Checkpointed) { exit() } },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, &memsource.Config{PageRecords: 2}, func(t *testing.T, w *world) {
				budget := consumer.NewBudget(1 << 20)
				cfg := w.config()
				cfg.Flow.Budget = budget
				var n atomic.Int32
				set(&cfg.Hooks, func() {
					if n.Add(1) == 3 {
						runtime.Goexit()
					}
				})
				w.put(0, 20)
				c := w.start(cfg)
				w.until("20", func() bool { return slices.Contains(w.values(), "19") })
				if len(told[consumer.Assigned](w)) < 2 {
					t.Error("the shard was never given up: nothing was tested")
				}
				if err := c.stop(); err != nil {
					t.Errorf("Run returned %v", err)
				}
				if used := budget.Used(); used != 0 {
					t.Errorf("%d bytes of the budget are used after the end", used)
				}
			})
		})
	}
}
