package lease_test

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/lease"
)

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
				f.watch(45 * time.Second)
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

// Its owner believes it stored, and would not store it again.
func TestACheckpointThatWasForgottenIsStoredAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, r := newForgetfulFleet(t, "a")
		defer f.close()
		w := f.join()
		f.watch(5 * time.Second)
		j := w.job("a")
		if err := errors.Join(j.checkpoint(5), j.checkpoint(6)); err != nil {
			t.Fatal(err)
		}
		r.failOver(r.writes() - 1)
		f.watch(3 * time.Second)
		if !j.Valid() || j.Position() != checkpoint.Offset(5) {
			t.Fatalf("valid: %v, at %s, want it at 5, as it is stored", j.Valid(), j.Position())
		}
		if err := j.checkpoint(6); err != nil {
			t.Fatal(err)
		}
		if rows, err := r.Get(t.Context(), []string{"orders/S/one/a"}); err != nil || !has(rows[0], `"position":"6"`) {
			t.Errorf("the row: %s, %v", rows[0].Value, err)
		}
	})
}

// Its row has a lower version, and an older heartbeat, than the others saw.
func TestADeadSessionWhoseHeartbeatWasForgottenIsKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, r := newForgetfulFleet(t, ids(4)...)
		defer f.close()
		fast := f.config
		f.config = func(c *lease.Config) { fast(c); c.Timing.Poll = 100 * time.Millisecond }
		ws := f.joinAll(2)
		f.watch(20 * time.Second)
		session := ws[0].job(ws[0].shards()[0]).Session()
		for still := 0; still < 12; still++ { // until its heartbeat is the last write, and was seen
			before := r.writes()
			f.watch(tick)
			if r.writes() != before || r.last() != "W/"+session {
				still = 0
			}
		}
		r.failOver(r.writes() - 1)
		ws[0].wire.fail(errFailed)
		began := time.Now()
		f.until("work on all by the other", func() bool { return len(ws[1].shards()) == 4 })
		if took := time.Since(began); took > 13*time.Second {
			t.Errorf("taken after %v, want the expiry and a little", took)
		}
	})
}

// The read that shows a take may be answered when the store has forgotten it, and a heartbeat has counted since.
func TestATakeThatWasForgottenBeforeItsWorkBeganIsNotBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, r := newForgetfulFleet(t, "a")
		defer f.close()
		telling := f.config
		f.config = func(c *lease.Config) { telling(c); c.Timing.Heartbeat = 500 * time.Millisecond }
		w := f.join()
		var taken atomic.Int32
		var forgotten atomic.Bool
		w.wire.set(func() {
			w.wire.took = func(row lease.Row) {
				if kind(row.Key) == "S" && row.Version == 1 {
					taken.CompareAndSwap(0, int32(r.writes()))
				}
			}
		})
		r.mu.Lock()
		r.answered = func(keys []string) {
			if n := int(taken.Load()); n > 0 && kind(keys[0]) == "S" && forgotten.CompareAndSwap(false, true) {
				r.failOver(n)
				pass(t, 1500*time.Millisecond)
			}
		}
		r.mu.Unlock()
		f.watch(9 * time.Second)
		if !forgotten.Load() {
			t.Fatal("the take was not forgotten")
		}
		if got := len(w.all()); got != 0 {
			t.Errorf("work was begun %d times on a take that was forgotten", got)
		}
		f.at("a")
	})
}

// With the application's own row, in the same instant: whoever makes it again has all wait.
func TestAStoreThatForgetsEverything(t *testing.T) {
	for seed := range 12 {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, r := newForgetfulFleet(t, ids(5)...)
				defer f.close()
				ws := f.joinAll(3)
				f.watch(20*time.Second + time.Duration(seed)*170*time.Millisecond)
				r.failOver(0)
				failed := time.Now()
				f.until("an owner", func() bool { return r.writes() > 0 && len(slices.Concat(f.since(failed)...)) > 0 })
				if took := time.Since(failed); took < 10*time.Second {
					t.Errorf("a shard was taken %v after everything was forgotten", took)
				}
				f.watch(20 * time.Second)
				if got := counts(ws); !slices.Equal(got, []int{1, 2, 2}) {
					t.Errorf("shards of each in the end: %v", got)
				}
			})
		})
	}
}

// since is each worker's leases that began after an instant.
func (f *fleet) since(at time.Time) (all [][]*job) {
	for _, w := range f.workers {
		all = append(all, slices.DeleteFunc(w.all(), func(j *job) bool { return !j.began.After(at) }))
	}
	return all
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
