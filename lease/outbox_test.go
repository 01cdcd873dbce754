package lease

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/internal/ground"
)

// slowStore takes its time for each Put and notes what was in it.
type slowStore struct {
	Store
	takes func(rows []Row) time.Duration
	fails func(row Row) error

	mu    sync.Mutex
	calls [][]string
}

func (s *slowStore) List(context.Context, string, string) iter.Seq2[Row, error] { return nil }

func (s *slowStore) Put(ctx context.Context, rows []Row) []error {
	var names []string
	errs := make([]error, len(rows))
	for i, r := range rows {
		names = append(names, r.Key)
		if s.fails != nil {
			errs[i] = s.fails(r)
		}
	}
	s.mu.Lock()
	s.calls = append(s.calls, names)
	s.mu.Unlock()
	timer := time.NewTimer(s.takes(rows))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		for i := range errs {
			errs[i] = context.Cause(ctx)
		}
	}
	return errs
}

// sent is how often each row was sent.
func (s *slowStore) sent() map[string]int {
	n := make(map[string]int)
	for _, call := range s.calls {
		for _, name := range call {
			n[name]++
		}
	}
	return n
}

func newOutbox(s *slowStore) *outbox {
	if s.takes == nil {
		s.takes = func([]Row) time.Duration { return 100 * time.Millisecond }
	}
	return &outbox{req: requests{store: s, limit: 2 * time.Second, clock: clock{ground.Real()}}}
}

func always() bool { return true }

func never() bool { return false }

func TestRowsThatComeTogetherGoInFewCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slowStore{}
		o := newOutbox(s)
		var all sync.WaitGroup
		began, soon := time.Now(), atomic.Int32{}
		for i := range 100 {
			all.Go(func() {
				defer func() {
					if time.Since(began) <= 200*time.Millisecond {
						soon.Add(1)
					}
				}()
				if err := o.send(t.Context(), Row{Key: fmt.Sprint(i)}, always); err != nil {
					t.Errorf("row %d: %v", i, err)
				}
			})
		}
		all.Wait()
		if got := soon.Load(); got != 1+writeBatch {
			t.Errorf("%d are answered after two calls, want those that were in them", got)
		}
		if len(s.calls) != 5 || len(s.sent()) != 100 {
			t.Errorf("%d rows in %d calls, want 100 in 5", len(s.sent()), len(s.calls))
		}
		for _, call := range s.calls {
			if len(call) > writeBatch {
				t.Errorf("a call has %d rows, want %d at most", len(call), writeBatch)
			}
		}
	})
}

func TestARowThatComesAloneWaitsForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slowStore{}
		o := newOutbox(s)
		began := time.Now()
		for range 3 {
			if err := o.send(t.Context(), Row{Key: "a"}, always); err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(began); took != 300*time.Millisecond || len(s.calls) != 3 {
			t.Errorf("%d calls in %v, want 3 in 300ms", len(s.calls), took)
		}
	})
}

// sending has rows sent one after the other while a first call is under way, and gives what became of them.
func sending(t *testing.T, o *outbox, ctxs []context.Context, mays []func() bool) []error {
	t.Helper()
	errs := make([]error, len(ctxs))
	var all sync.WaitGroup
	for i, ctx := range ctxs {
		all.Go(func() { errs[i] = o.send(ctx, Row{Key: fmt.Sprint(i)}, mays[i]) })
		synctest.Wait()
	}
	all.Wait()
	return errs
}

func TestWhoMayNotSendWhenItsTurnComesSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slowStore{}
		o := newOutbox(s)
		ctx := t.Context()
		errs := sending(t, o, []context.Context{ctx, ctx, ctx, ctx}, []func() bool{always, never, always, never})
		for i, want := range []error{nil, ErrLost, nil, ErrLost} {
			if !errors.Is(errs[i], want) {
				t.Errorf("row %d: %v, want %v", i, errs[i], want)
			}
		}
		if n := s.sent(); n["0"] != 1 || n["2"] != 1 || len(n) != 2 {
			t.Errorf("sent: %v, want rows 0 and 2", n)
		}
		if err := o.send(ctx, Row{Key: "later"}, never); !errors.Is(err, ErrLost) {
			t.Errorf("alone: %v, want ErrLost", err)
		}
	})
}

func TestWhoGivesUpPassesItsTurnOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slowStore{}
		o := newOutbox(s)
		ctx := t.Context()
		impatient, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		errs := sending(t, o, []context.Context{ctx, impatient, ctx}, []func() bool{always, always, always})
		if errs[0] != nil || !errors.Is(errs[1], context.DeadlineExceeded) || errs[2] != nil {
			t.Errorf("%v, want the second to end with its ctx", errs)
		}
		if n := s.sent(); n["1"] != 0 {
			t.Error("a row was sent although its sender had given up")
		}
	})
}

// Who is told to write in the instant in which it gives up passes the turn on, or all behind it would wait for ever.
func TestWhoGivesUpWhenItsTurnComesPassesItOn(t *testing.T) {
	for range 50 { // which of the two it sees first is up to chance
		synctest.Test(t, func(t *testing.T) {
			s := &slowStore{}
			o := newOutbox(s)
			ctx := t.Context()
			impatient, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
			defer cancel()
			errs := sending(t, o, []context.Context{ctx, impatient, ctx}, []func() bool{always, always, always})
			if errs[0] != nil || errs[1] == nil || o.busy || len(s.calls) < 2 {
				t.Errorf("%v, in %d calls; somebody holds the turn: %v", errs, len(s.calls), o.busy)
			}
		})
	}
}

func TestAnAnswerIsForItsOwnRowAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := errors.New("refused")
		s := &slowStore{fails: func(r Row) error {
			if r.Key == "2" {
				return refused
			}
			return nil
		}}
		o := newOutbox(s)
		ctxs, mays := make([]context.Context, 5), make([]func() bool, 5)
		for i := range ctxs {
			ctxs[i], mays[i] = t.Context(), always
		}
		for i, err := range sending(t, o, ctxs, mays) {
			if errors.Is(err, refused) != (i == 2) {
				t.Errorf("row %d: %v", i, err)
			}
		}
	})
}

// Senders that come and give up at any time, over a store that hangs and fails now and then: each hears what became of its row, none is sent twice, and in the end nobody holds the turn.
func TestNoRowOfTheOutboxIsLost(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) { chaosOf(t, rand.New(rand.NewPCG(seed, 0))) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func chaosOf(t *testing.T, r *rand.Rand) {
	t.Helper()
	var mu sync.Mutex
	upto := func(n time.Duration) time.Duration {
		mu.Lock()
		defer mu.Unlock()
		return time.Duration(r.Int64N(int64(n)))
	}
	s := &slowStore{takes: func([]Row) time.Duration { return upto(4 * time.Second) }} // and the limit is two
	o := newOutbox(s)
	var all sync.WaitGroup
	outcome := make([]error, 60)
	for i := range outcome {
		start, patience, may := upto(10*time.Second), upto(20*time.Second), upto(5) > 0
		all.Go(func() {
			timer := time.NewTimer(start)
			defer timer.Stop()
			<-timer.C
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			outcome[i] = o.send(ctx, Row{Key: fmt.Sprint(i)}, func() bool { return may })
		})
	}
	all.Wait()
	sent := s.sent()
	for i, err := range outcome {
		switch n := sent[fmt.Sprint(i)]; {
		case n > 1:
			t.Errorf("row %d was sent %d times", i, n)
		case err == nil && n != 1:
			t.Errorf("row %d counts as written and was never sent", i)
		case errors.Is(err, ErrLost) && n != 0:
			t.Errorf("row %d was sent although it might not", i)
		}
	}
	if o.busy || len(o.queue) != 0 {
		t.Errorf("at rest somebody holds the turn: %v, and %d rows wait", o.busy, len(o.queue))
	}
	if err := o.send(t.Context(), Row{Key: "after"}, always); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("afterwards: %v", err)
	}
	if last := s.calls[len(s.calls)-1]; !slices.Equal(last, []string{"after"}) {
		t.Errorf("the last call had %v", last)
	}
}

// Its session is valid, and another was seen to have the shard.
func TestWhoseLeaseWasLostSendsNothing(t *testing.T) {
	c := clock{ground.Real()}
	s := newSession("app", "worker", requests{}, Timing{}.withDefaults(), c)
	now := c.Now()
	s.since.Store(&now)
	l := newLease(shardRow{ID: "s"}, s, keys{}, false, func(shardRow) {}, func(error) {})
	if !l.mine() {
		t.Error("a lease of a valid session may send nothing")
	}
	l.lose(errors.New("the row names another"))
	if l.mine() {
		t.Error("a lease that was lost may send")
	}
}
