package lease_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/lease"
)

// resetWrites is how many an operator makes to reset the family: the application's row twice, and each of four shards' asked for, reset and let go.
const resetWrites = 2 + 3*4

// nth tells of the n-th write alone.
func nth(n int) func(string, lease.Row) bool {
	count := 0
	return func(string, lease.Row) bool {
		count++
		return count == n
	}
}

func TestAResetSurvivesAFaultAtEachOfItsWrites(t *testing.T) {
	for n := range resetWrites {
		for name, with := range faults {
			t.Run(fmt.Sprintf("%d/%s", n+1, name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newFamily(t)
					defer f.close()
					o, w := f.operator()
					fired := w.once(with, nth(n+1))
					var generation uint64
					err := f.during("reset", func(ctx context.Context) (err error) {
						generation, err = o.Reset(ctx, lease.Reset{All: true})
						return err
					})
					if err != nil || generation != 1 {
						t.Errorf("generation %d, %v, want 1", generation, err)
					}
					w.land()
					select {
					case <-fired:
					default:
						t.Error("the fault did not fire")
					}
					f.again(1, checkpoint.Start{})
				})
			})
		}
	}
}

// An operator that dies with the n-th write, whether that is applied or not, leaves shards that rest. Another goes on, in the same generation.
func TestAResetThatIsBrokenOffGoesOn(t *testing.T) {
	for n := range resetWrites {
		for name, with := range map[string]fault{"applied": lostAnswer, "not applied": failed} {
			t.Run(fmt.Sprintf("%d/%s", n+1, name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newFamily(t)
					defer f.close()
					o, w := f.operator()
					count := 0
					w.next(func(string, lease.Row) fault {
						if count++; count == n+1 {
							w.failing = errFailed
							return with
						}
						return noFault
					})
					ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
					defer cancel()
					if err := f.during("reset", func(context.Context) error { return errOf(o.Reset(ctx, lease.Reset{All: true})) }); !errors.Is(err, errFailed) {
						t.Errorf("the reset that was cut off: %v", err)
					}
					f.watch(20 * time.Second)
					began := n > 0 || name == "applied"
					if _, err := f.resets(lease.Reset{Shards: []string{"p"}}); began != (n < resetWrites-1 || name == "not applied") {
						// the last write was applied, or the first was not: nothing is under way, and this is a reset of its own
						if err != nil {
							t.Errorf("another reset, with none under way: %v", err)
						}
						return
					} else if err == nil || !strings.Contains(err.Error(), "generation 1 is under way") {
						t.Fatalf("another reset meanwhile: %v, want it to be refused", err)
					}
					if generation, err := f.resets(lease.Reset{All: true}); err != nil || generation != 1 {
						t.Errorf("called again: generation %d, %v, want 1", generation, err)
					}
					f.again(1, checkpoint.Start{})
				})
			})
		}
	}
}

// What the service does not hold is left alone, and removed like anything that is finished.
func TestABrokenOffResetEndsWhenAShardThatItNamesIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a", "b")
		defer f.close()
		f.store.whole = true
		f.join()
		f.watch(5 * time.Second)
		f.ends("a", 3)
		o, wire := f.operator()
		what := lease.Reset{Shards: []string{"a", "b"}, Held: func(_ context.Context, id string) (bool, error) { return id != "a", nil }}
		wire.next(func(_ string, row lease.Row) fault { // it is asked for, and then the operator is cut off
			if strings.HasSuffix(row.Key, "/b") {
				wire.failing = errFailed
			}
			return noFault
		})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := f.during("reset", func(context.Context) error { return errOf(o.Reset(ctx, what)) }); !errors.Is(err, errFailed) {
			t.Errorf("the reset that was cut off: %v", err)
		}
		f.stream.forget("a")
		f.watch(2 * time.Minute)
		if got := f.store.lease("a"); got.State != "" {
			t.Fatalf("a: %+v, want it removed", got)
		}
		if generation, err := f.resets(what); err != nil || generation != 1 {
			t.Errorf("called again: generation %d, %v", generation, err)
		}
		if j := f.at("b"); j.Generation() != 1 {
			t.Errorf("b is read in generation %d", j.Generation())
		}
		f.rest()
	})
}

// A listing may be stale, and leave out a row that was written a moment ago. What a reset has asked for it must see through, or the shard rests for ever.
func TestAResetSeesThroughWhatAListingLeavesOut(t *testing.T) {
	for name, shards := range map[string][]string{"all": nil, "named": {"a", "b"}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, "a", "b")
				defer f.close()
				f.store.whole = true
				f.join()
				f.watch(5 * time.Second)
				o, w := f.operator()
				w.set(func() {
					w.hide = func(key string) bool {
						return strings.HasSuffix(key, "/b") && len(f.store.lease("b").Request) > len("null")
					}
				})
				if err := f.during("reset", func(ctx context.Context) error {
					return errOf(o.Reset(ctx, lease.Reset{Shards: shards, All: shards == nil}))
				}); err != nil {
					t.Fatal(err)
				}
				for _, id := range []string{"a", "b"} {
					if j := f.at(id); j.Generation() != 1 {
						t.Errorf("%s is read in generation %d", id, j.Generation())
					}
				}
				f.rest()
			})
		})
	}
}

func TestTwoOperatorsThatWantTheSameResetShareIt(t *testing.T) {
	for lead := range 12 {
		t.Run(fmt.Sprint(lead), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFamily(t)
				defer f.close()
				o, w := f.operator()
				slow := atomic.Bool{}
				w.set(func() {
					w.took = func(lease.Row) { // each of its writes waits a while
						if slow.Load() {
							pass(t, 100*time.Millisecond)
						}
					}
				})
				slow.Store(lead%2 == 0)
				second := make(chan error, 1)
				go func() {
					pass(t, time.Duration(lead)*150*time.Millisecond)
					second <- errOf(o.Reset(soon(t), lease.Reset{All: true}))
				}()
				generation, err := f.resets(lease.Reset{All: true})
				if err := errors.Join(err, f.during("the second", func(context.Context) error { return <-second })); err != nil {
					t.Errorf("generation %d: %v", generation, err)
				}
				f.again(f.at("p").Generation(), checkpoint.Start{})
			})
		})
	}
}

func TestTwoOperatorsThatWantDifferentResetsDoNotMeet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFamily(t)
		defer f.close()
		f.owner("m").wire.hang() // so that the first takes its time
		first := make(chan error, 1)
		o, _ := f.operator()
		go func() { first <- errOf(o.Reset(soon(t), lease.Reset{All: true})) }()
		f.watch(2 * time.Second)
		instant := checkpoint.AtTime(time.Unix(99, 0))
		if _, err := f.resets(lease.Reset{All: true, To: instant}); err == nil || !strings.Contains(err.Error(), "a reset of all shards to TRIM_HORIZON, generation 1 is under way") {
			t.Errorf("the second: %v, want it to be refused", err)
		}
		if err := f.during("the first", func(context.Context) error { return <-first }); err != nil {
			t.Errorf("the first: %v", err)
		}
		if generation, err := f.resets(lease.Reset{All: true, To: instant}); err != nil || generation != 2 {
			t.Errorf("the second, afterwards: generation %d, %v, want 2", generation, err)
		}
		for _, w := range f.workers {
			w.wire.resume()
		}
		f.again(2, instant)
	})
}

// meanwhile has something done in the middle of the operator's write that is says.
func meanwhile(w *wire, is func(lease.Row) bool, do func()) {
	done := false
	w.set(func() {
		w.took = func(row lease.Row) {
			if !done && is(row) {
				done = true
				do()
			}
		}
	})
}

func TestAShardThatSplitsWhileItIsResetIsResetWithItsChildren(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "p")
		defer f.close()
		f.store.whole = true
		f.joinAll(2)
		f.at("p")
		a, b := lease.Shard{ID: "a", Parents: []string{"p"}}, lease.Shard{ID: "b", Parents: []string{"p"}}
		m := lease.Shard{ID: "m", Parents: []string{"a", "b"}}
		o, w := f.operator()
		meanwhile(w, func(row lease.Row) bool { return isShard(row, "p") }, func() {
			f.stream.add(a, b, m)
			f.ends("p", 9, a, b)
			if err := f.at("a").checkpoint(3); err != nil {
				t.Error(err)
			}
		})
		meanwhileToo := false
		took := w.took
		w.set(func() {
			w.took = func(row lease.Row) {
				took(row)
				if isShard(row, "b") && !meanwhileToo { // and a child of those splits too
					meanwhileToo = true
					f.ends("a", 5, m)
				}
			}
		})
		if err := f.during("reset", func(ctx context.Context) error { return errOf(o.Reset(ctx, lease.Reset{All: true})) }); err != nil {
			t.Fatal(err)
		}
		f.again(1, checkpoint.Start{})
	})
}

// Its row may be made by a lister that had looked at the parent before its reset.
func TestAChildThatIsListedLateFollowsItsParentsGeneration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "p")
		defer f.close()
		f.join()
		f.ends("p", 9)
		o, w := f.operator()
		meanwhile(w, func(row lease.Row) bool { return has(row, `"generation":1,"meta"`) }, func() {
			row := lease.Row{Key: "orders/S/one/c", Value: []byte(`{"state":"open","epoch":0,"owner":"","parents":["p"]}`)}
			if errs := f.store.Put(t.Context(), []lease.Row{row}); errs != nil {
				t.Error(errs)
			}
			f.watch(10 * time.Second)
			if f.job("c") != nil {
				t.Error("a child is worked on although its parent is being reset")
			}
		})
		if err := f.during("reset", func(ctx context.Context) error { return errOf(o.Reset(ctx, lease.Reset{All: true})) }); err != nil {
			t.Fatal(err)
		}
		f.ends("p", 9)
		if got := f.at("c").Generation(); got != 1 {
			t.Errorf("c is read in generation %d, want that of its parent, 1", got)
		}
	})
}

func TestAWorkerThatJoinsInTheMiddleOfAResetTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFamily(t)
		defer f.close()
		o, w := f.operator()
		meanwhile(w, func(row lease.Row) bool { return has(row, `"generation":1,"meta"`) }, func() {
			f.join()
			f.watch(20 * time.Second)
			for _, id := range []string{"p", "a", "b", "m"} {
				if f.job(id) != nil {
					t.Errorf("%s is worked on", id)
				}
			}
		})
		if err := f.during("reset", func(ctx context.Context) error { return errOf(o.Reset(ctx, lease.Reset{All: true})) }); err != nil {
			t.Fatal(err)
		}
		f.again(1, checkpoint.Start{})
	})
}
