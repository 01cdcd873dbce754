package leasetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/lease"
)

// HistoriesVariable is the variable of the environment that says how many histories are recorded and checked of each kind; 1 if it is not set.
const HistoriesVariable = "RUNNEL_HISTORIES"

const (
	callers = 4
	slots   = 3  // keys that are in use at a time
	steps   = 80 // of each caller, in a history without faults
)

// histories is how many there are to be.
func (s *scene) histories() int {
	s.Helper()
	text := os.Getenv(HistoriesVariable)
	if text == "" {
		return 1
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		s.Fatalf("%s is %q; want a number from 1", HistoriesVariable, text)
	}
	return n
}

// history is what callers did to some keys and what they were told.
type history struct {
	clock atomic.Int64

	mu         sync.Mutex
	operations map[string][]operation // by key

	generations [slots]atomic.Int64 // of keys: one that was deleted gives way to the next, unless again is set
	again       bool                // deleted keys are created again
	pause       time.Duration       // the longest between two steps of a caller
	limit       time.Duration       // of each call; 0 is none, and nothing keeps the store from answering
	silent      atomic.Bool         // it did not answer nevertheless
}

// caller is one of those who make a history, one operation at a time.
type caller struct {
	*scene
	*history

	name  string
	store lease.Store
	group string
	known map[string]lease.Row // as the caller last heard of them
	sent  int
	wary  bool // the last call had no answer
}

// linear records what several callers do at once to the same rows.
func linear(s *scene) {
	s.ready()
	for n := range s.histories() {
		h := &history{operations: map[string][]operation{}, again: true, pause: time.Millisecond}
		var wg sync.WaitGroup
		for i := range callers {
			c := &caller{scene: s, history: h, name: fmt.Sprintf("caller %d", i), store: s.store, group: s.key(fmt.Sprintf("h%d/", n)), known: map[string]lease.Row{}}
			wg.Go(func() {
				for range steps {
					c.step(s.Context())
				}
			})
		}
		wg.Wait()
		s.inOrder(h)
	}
}

// faultFor is how long a fault of a history lasts, and then how long there is none.
const faultFor = 250 * time.Millisecond

// linearUnderFaults is linear while the line of half of the callers has every fault that it knows.
func linearUnderFaults(s *scene) {
	s.ready()
	for n := range s.histories() {
		h := &history{operations: map[string][]operation{}, pause: 8 * time.Millisecond, limit: faultFor / 2}
		ctx, over := context.WithCancel(s.Context())
		var wg sync.WaitGroup
		for i := range callers {
			c := &caller{scene: s, history: h, name: fmt.Sprintf("caller %d", i), store: s.store, group: s.key(fmt.Sprintf("h%d/", n)), known: map[string]lease.Row{}}
			if i%2 == 1 {
				c.name, c.store = fmt.Sprintf("direct %d", i), s.direct
			}
			wg.Go(func() {
				for ctx.Err() == nil {
					c.step(s.Context())
				}
			})
		}
		faults := slices.Repeat(s.line.Faults(), 2)
		rand.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
		for _, fault := range faults {
			s.line.Set(fault)
			_ = backoff.Wait(ctx, faultFor)
			s.line.Set(None)
			_ = backoff.Wait(ctx, faultFor)
		}
		over()
		wg.Wait()
		last := &caller{scene: s, history: h, name: "the last", store: s.direct, known: map[string]lease.Row{}}
		for key := range maps.Clone(h.operations) {
			last.get(s.Context(), []string{key})
		}
		s.inOrder(h)
	}
}

func (s *scene) inOrder(h *history) {
	s.Helper()
	if h.silent.Load() {
		return // and has been told
	}
	for key, operations := range h.operations {
		if wrong := ordered(key, operations); wrong != "" {
			s.Errorf("%s", wrong)
		}
	}
}

// step does one thing to one key, or to all of them in one call.
func (c *caller) step(ctx context.Context) {
	if c.wary { // each write that has no answer doubles the orders to try
		_ = backoff.Wait(ctx, faultFor/4)
	}
	c.wary = false
	_ = backoff.Wait(ctx, rand.N(c.pause))
	if c.limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.limit)
		defer cancel()
	}
	var keys []string
	for i := range c.generations {
		keys = append(keys, fmt.Sprintf("%s%d-%d", c.group, i, c.generations[i].Load()))
	}
	slot := rand.IntN(slots)
	if rand.IntN(5) > 0 {
		keys = keys[slot : slot+1]
	}
	switch dice := rand.IntN(20); {
	case dice < 8:
		c.get(ctx, keys)
	case dice < 17 || !c.again && dice < 19:
		c.write(ctx, "put", keys, c.store.Put)
	default:
		key := keys[0]
		if !c.again {
			if len(keys) > 1 || c.known[key].Version == 0 {
				return
			}
			c.generations[slot].Add(1)
		}
		c.write(ctx, "delete", keys, c.store.Delete)
	}
}

func (c *caller) get(ctx context.Context, keys []string) {
	call := c.clock.Add(1)
	rows, err := c.store.Get(ctx, keys)
	answer := c.clock.Add(1)
	if err != nil || len(rows) != len(keys) {
		c.unanswered(fmt.Sprintf("Get of %q: %d rows, %v", keys, len(rows), err))
		return
	}
	for i, row := range rows {
		c.known[keys[i]] = row
		c.note(keys[i], operation{client: c.name, verb: "get", call: call, answer: answer, saw: register{row.Version, string(row.Value)}})
	}
}

func (c *caller) write(ctx context.Context, verb string, keys []string, send func(context.Context, []lease.Row) []error) {
	rows := make([]lease.Row, len(keys))
	for i, key := range keys {
		rows[i] = lease.Row{Key: key, Version: c.known[key].Version}
		if verb == "put" {
			c.sent++
			rows[i].Value = fmt.Appendf(nil, `"%s, %d"`, c.name, c.sent)
			if rand.IntN(2) == 0 {
				rows[i].Cursor = c.known[key].Cursor
			}
		}
	}
	call := c.clock.Add(1)
	errs := send(ctx, slices.Clone(rows))
	answer := c.clock.Add(1)
	if errs == nil {
		errs = make([]error, len(rows))
	}
	if len(errs) != len(rows) {
		c.Errorf("%s of %d rows has %d errors", verb, len(rows), len(errs))
		return
	}
	stale := false
	for i, row := range rows {
		o := operation{client: c.name, verb: verb, version: row.Version, value: string(row.Value), call: call, answer: answer, why: errs[i], resent: c.limit > 0}
		switch {
		case errs[i] == nil && verb == "put":
			c.known[row.Key] = lease.Row{Version: row.Version + 1, Cursor: row.Cursor}
		case errs[i] == nil:
			delete(c.known, row.Key)
		case errors.Is(errs[i], lease.ErrConflict):
			o.outcome, stale = conflicted, true
		default:
			o.outcome, stale = unanswered, true
			c.unanswered(fmt.Sprintf("%s of %q: %v", verb, row.Key, errs[i]))
		}
		c.note(row.Key, o)
	}
	if stale {
		c.get(ctx, keys)
	}
}

// unanswered complains of an error that says nothing of the row, where nothing keeps the store from answering.
func (c *caller) unanswered(what string) {
	if c.limit > 0 {
		c.wary = true
		return
	}
	if c.silent.CompareAndSwap(false, true) {
		c.Errorf("%s; want an answer or lease.ErrConflict", what)
	}
}

func (h *history) note(key string, o operation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.operations[key] = append(h.operations[key], o)
}
