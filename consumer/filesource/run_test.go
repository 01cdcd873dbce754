package filesource_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/lease/memlease"
)

// group is workers that share the shards of a directory, and what they handled.
type group struct {
	s     *stream
	store *memlease.Store
	start checkpoint.Start

	mu      sync.Mutex
	handled map[string][]string // by key
	ended   []string
	faults  []error
}

func newGroup(t *testing.T) *group {
	t.Helper()
	g := &group{s: newStream(t), store: memlease.New(), handled: make(map[string][]string)}
	g.s.cfg.Busy, g.s.cfg.Idle, g.s.cfg.KeyField = 0, 0, "k"
	return g
}

// run runs n workers and gives what stops them, and reports what they say.
func (g *group) run(n int) (stop func()) {
	ctx, cancel := context.WithCancel(g.s.t.Context())
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			err := consumer.Run(ctx, consumer.Config{
				Name: "app", Worker: fmt.Sprint("worker-", i), Source: g.s.source(), Leases: g.store, Start: g.start,
				Handler: consumer.Each(g.handle),
				Hooks: consumer.Hooks{
					Lost: func(e consumer.Lost) {
						if e.Reason == consumer.ReasonEnded {
							g.do(func() { g.ended = append(g.ended, e.Shard) })
						}
					},
					Error: func(e consumer.Failed) { g.do(func() { g.faults = append(g.faults, e.Err) }) },
				},
			})
			if err != nil {
				g.s.t.Errorf("Run: %v", err)
			}
		})
	}
	return func() {
		cancel()
		wg.Wait()
	}
}

func (g *group) do(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
}

func (g *group) handle(_ context.Context, r consumer.Record) error {
	g.do(func() { g.handled[r.Key] = append(g.handled[r.Key], string(r.Data)) })
	return nil
}

// put appends the numbers from…to-1 of a key to a shard.
func (g *group) put(shard, key string, from, to int) {
	g.s.t.Helper()
	for n := from; n < to; n++ {
		g.s.put(shard, vote(key, n))
	}
}

func vote(key string, n int) string { return fmt.Sprintf(`{"k":%q,"n":%d}`, key, n) }

// await waits until something is so.
func (g *group) await(what string, is func() bool) {
	g.s.t.Helper()
	for range 600 {
		var so bool
		g.do(func() { so = is() })
		if so {
			return
		}
		g.s.check(backoff.Wait(g.s.t.Context(), 100*time.Millisecond))
	}
	g.do(func() {
		g.s.t.Fatalf("waited for %s; handled: %v; ended: %v; faults: %v", what, g.handled, g.ended, g.faults)
	})
}

// mustHave waits until n of each key were handled, which must be the numbers from 0 on, once each and in order.
func (g *group) mustHave(n int, keys ...string) {
	g.s.t.Helper()
	g.await("all records", func() bool {
		for _, k := range keys {
			if len(g.handled[k]) < n {
				return false
			}
		}
		return true
	})
	g.do(func() {
		for _, k := range keys {
			var want []string
			for i := range n {
				want = append(want, vote(k, i))
			}
			if got := strings.Join(g.handled[k], " "); got != strings.Join(want, " ") {
				g.s.t.Errorf("of key %s were handled\n\t%s\nwant\n\t%s", k, got, strings.Join(want, " "))
			}
		}
	})
}

// TestRun follows shards as they grow, split and merge, with two workers that are stopped and started in between.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t)
		w := g.s.writer()
		g.s.check(w.Create("a"))
		g.s.check(w.Create("b"))
		g.put("a", "x", 0, 3)
		stop := g.run(2)
		g.put("a", "y", 0, 3)
		g.put("b", "z", 0, 3)
		g.mustHave(3, "x", "y", "z")

		g.put("a", "x", 3, 5) // x goes to the left, y to the right
		g.s.check(w.Reshard([]string{"a"}, []string{"left", "right"}))
		g.put("left", "x", 5, 8)
		g.put("right", "y", 3, 8)
		g.put("b", "z", 3, 8)
		g.mustHave(8, "x", "y", "z")

		stop()
		g.put("right", "y", 8, 10)
		g.put("left", "x", 8, 12)
		g.put("b", "z", 8, 10)
		g.s.check(w.Reshard([]string{"right", "b"}, []string{"merged"}))
		g.put("merged", "z", 10, 12)
		g.put("merged", "y", 10, 12)
		stop = g.run(2)
		g.mustHave(12, "x", "y", "z")

		for _, shard := range []string{"left", "merged"} {
			g.s.check(w.End(shard))
		}
		g.await("the end of all shards", func() bool { return len(g.ended) >= 5 })
		stop()
		stop = g.run(1)
		g.s.check(backoff.Wait(t.Context(), time.Minute))
		stop()
		g.mustHave(12, "x", "y", "z")
		if len(g.ended) != 5 || len(g.faults) > 0 {
			t.Errorf("the shards %v have ended, with the faults %v; want five shards without a fault", g.ended, g.faults)
		}
	})
}

// TestRunWaitsAtAFaultAndGoesOn: a line that is too long holds its shard alone, and what was repaired is read on.
func TestRunWaitsAtAFaultAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t)
		g.s.cfg.MaxLine = 40
		for _, shard := range []string{"a", "b"} {
			g.s.check(g.s.writer().Create(shard))
		}
		g.put("a", "x", 0, 2)
		g.s.put("b", strings.Repeat("y", 41))
		stop := g.run(1)
		g.mustHave(2, "x")
		g.await("the fault", func() bool { return len(g.faults) > 0 })
		mustBe(t, g.faults[0], g.faults[0], "b.jsonl", "byte 0", "40 bytes")
		stop()
		g.s.cfg.MaxLine = 0
		stop = g.run(1)
		g.await("the long line", func() bool { return len(g.handled[""]) == 1 })
		stop()
	})
}

// TestRunBeginsAtLatest once: what came after its first worker had begun is handled, also by a later one.
func TestRunBeginsAtLatest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t)
		g.start = checkpoint.Latest()
		g.s.check(g.s.writer().Create("a"))
		g.s.check(g.s.writer().Create("b"))
		g.put("a", "old", 0, 3)
		stop := g.run(1)
		g.s.check(backoff.Wait(t.Context(), time.Minute))
		stop()
		g.put("a", "x", 0, 2)
		g.put("b", "y", 0, 2)
		stop = g.run(1)
		g.mustHave(2, "x", "y")
		stop()
		if len(g.handled["old"]) > 0 {
			t.Errorf("older records were handled: %v", g.handled)
		}
	})
}
