package lease_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/memlease"
)

// replica is a store that may fail over to a replica which has not heard of the last writes. It writes one row at a time.
type replica struct {
	*memlease.Store

	mu      sync.Mutex
	history int
	past    []func(*memlease.Store) // every write that was applied, in their order
	asked   int
	down    error // why it does not tell its history
}

func newReplica() *replica { return &replica{Store: memlease.New(), history: 1} }

func (s *replica) History(context.Context, []string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	return fmt.Sprint("history ", s.history), s.down
}

func (s *replica) now() *memlease.Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Store
}

func (s *replica) Get(ctx context.Context, keys []string) ([]lease.Row, error) {
	return s.now().Get(ctx, keys)
}

func (s *replica) List(ctx context.Context, group, after string) iter.Seq2[lease.Row, error] {
	return s.now().List(ctx, group, after)
}

func (s *replica) Put(ctx context.Context, rows []lease.Row) []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	errs := s.Store.Put(ctx, rows)
	s.note(rows, errs, func(m *memlease.Store, row lease.Row) { m.Put(context.Background(), []lease.Row{row}) })
	return errs
}

func (s *replica) Delete(ctx context.Context, rows []lease.Row) []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	errs := s.Store.Delete(ctx, rows)
	s.note(rows, errs, func(m *memlease.Store, row lease.Row) { m.Delete(context.Background(), []lease.Row{row}) })
	return errs
}

func (s *replica) note(rows []lease.Row, errs []error, again func(*memlease.Store, lease.Row)) {
	for i, row := range rows {
		if errs == nil || errs[i] == nil {
			s.past = append(s.past, func(m *memlease.Store) { again(m, row) })
		}
	}
}

// writes is how many there were.
func (s *replica) writes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.past)
}

// failOver forgets all writes but the first n.
func (s *replica) failOver(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.past = s.past[:n]
	s.history++
	fresh := memlease.New()
	for _, write := range s.past {
		write(fresh)
	}
	s.Store = fresh
}

// newForgetfulFleet is a fleet over a replica. No audit: what is forgotten breaks its rules.
func newForgetfulFleet(t *testing.T, shards ...string) (*fleet, *replica) {
	t.Helper()
	f, r := newFleet(t, shards...), newReplica()
	f.config = func(c *lease.Config) {
		w := c.Store.(*wire)
		w.store = r
		c.Store = historian{w, r}
	}
	return f, r
}

// historian is a wire that tells its store's history.
type historian struct {
	*wire
	r *replica
}

func (h historian) History(ctx context.Context, groups []string) (string, error) {
	if err := h.enter(ctx); err != nil {
		return "", err
	}
	return h.r.History(ctx, groups)
}

// Nothing was forgotten: what is owned stays so, and nothing is taken for the expiry.
func TestAfterAFailOverNothingIsTakenForTheExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, r := newForgetfulFleet(t, ids(6)...)
		defer f.close()
		ws := f.joinAll(2)
		f.watch(20 * time.Second)
		before := slices.DeleteFunc(ws[1].all(), func(j *job) bool { return !j.Valid() })
		r.failOver(r.writes())
		failed := time.Now()
		ws[0].stop(nil)
		<-ws[0].done
		for len(ws[1].shards()) < 6 && time.Since(failed) < time.Minute {
			f.watch(tick)
		}
		if took := time.Since(failed); took < 10*time.Second || took > 15*time.Second {
			t.Errorf("the other's shards were taken after %v, want the expiry, 10 s, and a little", took)
		}
		for _, j := range before {
			if !j.Valid() {
				t.Errorf("shard %s was lost although nothing was forgotten", j.Shard().ID)
			}
		}
	})
}

// The owner of a take that was forgotten must stop before another may take, also when it never checkpoints and cannot poll.
func TestATakeThatWasForgottenIsOver(t *testing.T) {
	for name, cripple := range map[string]func(w *wire){"healthy": func(*wire) {}, "cannot poll": func(w *wire) { w.noList = true }} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, r := newForgetfulFleet(t, ids(6)...)
				defer f.close()
				w := f.join()
				taken := 0
				w.wire.set(func() {
					w.wire.took = func(row lease.Row) {
						if kind(row.Key) == "S" && row.Version == 1 && taken == 0 {
							taken = r.writes() // and every shard is taken in the write that follows
						}
					}
				})
				f.until("work on all", func() bool { return len(w.shards()) == 6 })
				other := f.join()
				pass(t, time.Second)
				r.failOver(taken)
				w.wire.set(func() { cripple(w.wire) })
				f.watch(30 * time.Second)
				if name == "healthy" {
					if got := counts([]*crew{w, other}); !slices.Equal(got, []int{3, 3}) {
						t.Errorf("shards of each: %v", got)
					}
				} else if got := len(other.shards()); got != 6 {
					t.Errorf("the other has %d shards, want all", got)
				}
				w.wire.set(func() { w.wire.noList = false })
			})
		})
	}
}

func TestASessionWhoseHeartbeatWasForgottenIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, r := newForgetfulFleet(t, "a")
		defer f.close()
		w := f.join()
		f.until("work on a", func() bool { return w.job("a") != nil })
		kept := r.writes()
		old := w.job("a")
		f.watch(10 * time.Second)
		r.failOver(kept)
		failed := time.Now()
		f.until("the end of the lease", func() bool { return old.ctx.Err() != nil })
		if took := time.Since(failed); took > 2500*time.Millisecond {
			t.Errorf("the session ended after %v, want its next heartbeat", took)
		}
		f.until("work on a in another session", func() bool { return w.job("a") != nil && w.job("a").Session() != old.Session() })
		if took := time.Since(failed); took < 10*time.Second {
			t.Errorf("taken again after %v, want the expiry at least", took)
		}
	})
}

func TestAWorkerThatJoinsAfterAFailOverWaitsToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, r := newForgetfulFleet(t, "a")
		defer f.close()
		first := f.join()
		f.until("work on a", func() bool { return first.job("a") != nil })
		first.stop(nil)
		<-first.done
		pass(t, time.Minute)
		r.failOver(r.writes())
		began := time.Now()
		second := f.join()
		f.until("work on a by another", func() bool { return second.job("a") != nil })
		if took := time.Since(began); took < 10*time.Second || took > 13*time.Second {
			t.Errorf("taken after %v, want the expiry", took)
		}
		second.stop(nil)
		<-second.done
		began = time.Now()
		third := f.join()
		f.until("work on a by a third", func() bool { return third.job("a") != nil })
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("taken after %v although the history is known by now", took)
		}
	})
}

// Whether its takes were forgotten cannot be told: a heartbeat counts for nothing.
func TestWithoutAHistoryNobodyIsValid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, r := newForgetfulFleet(t, "a")
		defer f.close()
		w := f.join()
		f.until("work on a", func() bool { return w.job("a") != nil })
		r.mu.Lock()
		r.down = errors.New("no master")
		r.mu.Unlock()
		j := w.job("a")
		f.watch(10 * time.Second)
		if j.Valid() {
			t.Error("a lease is valid for longer than its last heartbeat that is known to count")
		}
		r.mu.Lock()
		r.down = nil
		r.mu.Unlock()
		f.until("work on a again", func() bool { return w.job("a") != nil })
	})
}

func TestAStoreThatDoesNotTellIsNeverAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		defer f.close()
		began := time.Now()
		w := f.join()
		f.until("work on a", func() bool { return w.job("a") != nil })
		if took := time.Since(began); took > time.Second {
			t.Errorf("a new application began after %v", took)
		}
		rows, err := f.store.Get(t.Context(), []string{"orders/A"})
		if err != nil || !has(rows[0], `"history":""`) {
			t.Errorf("the application: %s, %v", rows[0].Value, err)
		}
	})
}

func TestANewApplicationOfAStoreThatTellsBeginsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := newForgetfulFleet(t, "a")
		defer f.close()
		began := time.Now()
		w := f.join()
		f.until("work on a", func() bool { return w.job("a") != nil })
		if took := time.Since(began); took > time.Second {
			t.Errorf("a new application began after %v", took)
		}
	})
}

// Fail-overs at any moment, each forgetting any number of the last writes, under joins, stops and checkpoints: at no time are two leases of one shard valid, which watch asserts, and all are
// worked on in the end.
func TestTwoOwnersAreNeverValidAtOnceWhateverIsForgotten(t *testing.T) {
	for seed := range 60 {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { failingOver(t, seed) })
		})
	}
}

func failingOver(t *testing.T, seed int) {
	t.Helper()
	f, r := newForgetfulFleet(t, ids(5)...)
	defer f.close()
	ws := f.joinAll(2)
	f.watch(time.Duration(seed%7)*time.Second + time.Duration(seed)*130*time.Millisecond)
	app := r.writes()
	for round := range 2 {
		third := f.join()
		f.watch(time.Duration(seed*37%90) * 100 * time.Millisecond)
		for i, w := range append(ws, third) {
			for _, id := range w.shards() {
				if j := w.job(id); j != nil && (i+seed)%3 == 0 {
					_ = j.checkpoint(uint64(10*round + seed + 1)) // it may be lost, or lie below
				}
			}
		}
		n := r.writes()
		r.failOver(max(app, n-1-(seed*13+round*7)%25)) // what made the application is kept
		f.watch(time.Duration(seed*53%200) * 100 * time.Millisecond)
		third.stop(nil)
		<-third.done
	}
	f.watch(45 * time.Second)
	if got := counts(ws); !slices.Equal(got, []int{2, 3}) {
		t.Errorf("shards of each in the end: %v, want 2 and 3", got)
	}
}
