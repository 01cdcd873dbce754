package deduptest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/internal/backoff"
)

// HistoriesVariable is the variable of the environment that says how many histories are recorded and checked of each kind; 5 if it is not set.
const HistoriesVariable = "RUNNEL_HISTORIES"

const (
	historyWorkers = 3
	historyTurns   = 60 // of a worker, at most
	historyTries   = 20 // of a call that did nothing, or that was not settled
	historyPause   = time.Millisecond
)

func (s *scene) histories() int {
	s.Helper()
	text := os.Getenv(HistoriesVariable)
	if text == "" {
		return 5
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		s.Fatalf("%s is %q; want a number from 1", HistoriesVariable, text)
	}
	return n
}

// history is what workers did to one shard, and what they were told.
type history struct {
	faulty bool
	clock  atomic.Int64
	epoch  atomic.Uint64
	odd    atomic.Bool // somebody was told what nobody may be

	mu  sync.Mutex
	all []operation
}

// linear records what several owners do at once to the same shard, some of whose contexts end.
func linear(s *scene) { s.record(false) }

// linearUnderFaults is linear while answers and writes are lost.
func linearUnderFaults(s *scene) { s.record(true) }

func (s *scene) record(faulty bool) {
	for n := range s.histories() {
		ctx, end := context.WithCancel(s.Context())
		h := &history{faulty: faulty}
		shard := fmt.Sprintf("history %d", n)
		var working, others sync.WaitGroup
		for i := range historyWorkers {
			w := &worker{s.owner(shard, 1, 1), h, i}
			working.Go(func() { w.work(ctx) })
		}
		looker := &worker{s.owner(shard, 1, 1), h, historyWorkers}
		others.Go(func() { looker.look(ctx) })
		if faulty {
			others.Go(func() { s.sabotage(ctx) })
		}
		working.Wait()
		end()
		others.Wait()
		for r := 1; r <= historyRecords; r++ {
			looker.total(r)
		}
		if h.odd.Load() {
			return // and has been told
		}
		s.inOrder(h.all)
	}
}

// sabotage loses answers and writes.
func (s *scene) sabotage(ctx context.Context) {
	for backoff.Wait(ctx, rand.N(20*historyPause)) == nil {
		if lose := []func(func()){s.db.loseAnswer, s.db.loseWrite}[rand.IntN(2)]; lose != nil {
			lose(nil)
		}
	}
}

// worker is one of those who make a history, each with a sink of its own.
type worker struct {
	*owner
	*history

	number int
}

// do makes a call, notes it and tells its kind of error. Of a call that is not noted nothing was done.
func (w *worker) do(o operation, call func(ctx context.Context, o *operation) error) error {
	o.perKey, o.faulty, o.worker = w.scope == dedup.PerKey, w.faulty, w.number
	ctx, cancel := context.WithCancel(w.Context())
	defer cancel()
	if rand.IntN(10) == 0 {
		timer := time.AfterFunc(rand.N(3*historyPause), cancel)
		defer timer.Stop()
	}
	o.call = w.clock.Add(1)
	err := call(ctx, &o)
	o.answer = w.clock.Add(1)
	o.outcome = kind(err)
	switch {
	case err == nil:
	case errors.Is(o.outcome, dedup.ErrUnavailable):
		return o.outcome
	case errors.Is(o.outcome, dedup.ErrFenced), errors.Is(o.outcome, dedup.ErrUnsettled), errors.Is(o.outcome, dedup.ErrPending):
		o.fresh, o.saw = nil, 0
	default:
		if w.odd.CompareAndSwap(false, true) {
			w.Errorf("%s %v by worker %d in epoch %d, while others use the shard: %v", o.verb, o.records, o.worker, o.epoch, err)
		}
		return o.outcome
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, o)
	return o.outcome
}

// work seals the shard again and again and goes on with its records, until all are done.
func (w *worker) work(ctx context.Context) {
	for range historyTurns {
		if w.odd.Load() || w.turn(ctx) >= historyRecords {
			return
		}
		_ = backoff.Wait(ctx, rand.N(5*historyPause))
	}
}

// turn is what a worker does in one epoch. It returns low.
func (w *worker) turn(ctx context.Context) int {
	epoch := w.epoch.Add(1)
	if epoch > 1 && rand.IntN(8) == 0 {
		epoch-- // which another has, or had
	}
	w.mark.Epoch = epoch
	t := &progress{}
	err := w.do(operation{verb: "seal", epoch: epoch}, func(ctx context.Context, o *operation) error {
		p, err := w.sink.Seal(ctx, w.n(0))
		if n, ok := p.Offset(); ok && err == nil {
			o.saw = int(n)
		}
		t.low = o.saw
		return err
	})
	if err != nil {
		return 0
	}
	if w.scope == dedup.PerShard {
		w.handle(ctx, t, t.low+1, 1)
		return t.low
	}
	var wg sync.WaitGroup
	for i, low := 1, t.low; i <= historyKeys; i++ {
		wg.Go(func() { w.handle(ctx, t, low+i, historyKeys) })
	}
	wg.Wait()
	return t.low
}

// handle goes on with every so manieth record, from one on, until its owner is fenced or leaves off.
func (w *worker) handle(ctx context.Context, t *progress, from, step int) {
	for from <= historyRecords && rand.IntN(12) > 0 {
		next := from
		var records []int
		if rand.IntN(4) == 0 && from > step {
			records = append(records, from-step) // again
		}
		for range 1 + rand.IntN(2) {
			if next <= historyRecords {
				records = append(records, next)
				next += step
			}
		}
		verb := "apply"
		if rand.IntN(5) == 0 {
			verb = "bury"
		}
		if !w.settled(ctx, operation{verb: verb, epoch: w.mark.Epoch, records: records}, w.write) {
			return
		}
		from = next
		low := t.done(records)
		if rand.IntN(3) > 0 && !w.settled(ctx, operation{verb: "advance", epoch: w.mark.Epoch, to: low}, w.move) {
			return
		}
	}
}

// settled makes a call until it is known what became of it, and tells whether it was done.
func (w *worker) settled(ctx context.Context, o operation, call func(ctx context.Context, o *operation) error) bool {
	for range historyTries {
		err := w.do(o, call)
		if !errors.Is(err, dedup.ErrUnavailable) && !errors.Is(err, dedup.ErrUnsettled) {
			return err == nil
		}
		if backoff.Wait(ctx, rand.N(historyPause)) != nil {
			return false
		}
	}
	return false
}

// record is a worker's mark of a record.
func (w *worker) record(r int) dedup.Mark {
	return w.key(fmt.Sprintf("key %d", r%historyKeys), uint64(r))
}

// write is an Apply or a Bury.
func (w *worker) write(ctx context.Context, o *operation) error {
	var ms []dedup.Mark
	for _, r := range o.records {
		m := w.record(r)
		m.Redrive = o.verb == "redrive"
		ms = append(ms, m)
	}
	if o.verb == "bury" {
		return w.sink.Bury(ctx, ms)
	}
	fresh, err := w.apply(ctx, ms...)
	for _, i := range fresh {
		o.fresh = append(o.fresh, o.records[i])
	}
	return err
}

func (w *worker) move(ctx context.Context, o *operation) error {
	return w.sink.Advance(ctx, w.n(uint64(o.to)))
}

// look redrives records and reads their totals, while others are at work.
func (w *worker) look(ctx context.Context) {
	for backoff.Wait(ctx, rand.N(2*historyPause)) == nil {
		r := 1 + rand.IntN(historyRecords)
		if rand.IntN(2) == 0 {
			w.total(r)
			continue
		}
		_ = w.do(operation{verb: "redrive", records: []int{r}}, w.write)
	}
}

// total reads whether the effect of a record stands.
func (w *worker) total(r int) {
	o := operation{verb: "total", records: []int{r}, worker: w.number, call: w.clock.Add(1)}
	o.saw = w.totals([]dedup.Mark{w.record(r)})[0]
	o.answer = w.clock.Add(1)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, o)
}

// progress is what an owner knows to be done of its shard.
type progress struct {
	mu   sync.Mutex
	low  int
	over [historyRecords + 1]bool
}

// done notes records and tells up to where all are.
func (t *progress) done(records []int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range records {
		t.over[r] = true
	}
	for t.low < historyRecords && t.over[t.low+1] {
		t.low++
	}
	return t.low
}
