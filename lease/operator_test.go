package lease_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/memlease"
)

func TestAShardThatIsPausedRestsWhereItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ids(4)...)
		defer f.close()
		ws := f.joinAll(2)
		f.watch(20 * time.Second)
		for _, w := range ws {
			for _, id := range w.shards() {
				if err := w.job(id).checkpoint(7); err != nil {
					t.Fatal(err)
				}
			}
		}
		o, _ := f.operator()
		if err := f.during("pause", func(ctx context.Context) error { return o.Pause(ctx, "shard-00", "shard-01") }); err != nil {
			t.Fatal(err)
		}
		if got := f.store.lease("shard-00"); got.Owner != "" || got.Position.String() != "7" || got.Next != "" {
			t.Errorf("paused: %+v", got)
		}
		f.watch(30 * time.Second)
		if got := counts(ws); !slices.Equal(got, []int{1, 1}) {
			t.Errorf("shards of each with two paused: %v, want one each", got)
		}
		if got := f.describe().Shards[0].Request; got != "pause" {
			t.Errorf("described as %q", got)
		}
		if err := o.Resume(t.Context(), "gone", "shard-00", "shard-01"); err == nil || !strings.Contains(err.Error(), `"gone" has no row`) {
			t.Errorf("the resume of two shards, and of one that ended and was removed: %v", err)
		}
		f.watch(20 * time.Second)
		if got := counts(ws); !slices.Equal(got, []int{2, 2}) {
			t.Errorf("shards of each after the resume: %v", got)
		}
		if got := f.store.lease("shard-01"); got.Position.String() != "7" || got.Generation != 0 {
			t.Errorf("resumed: %+v", got)
		}
	})
}

func TestAnApplicationThatIsPausedRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ids(4)...)
		defer f.close()
		ws := f.joinAll(2)
		f.watch(20 * time.Second)
		o, _ := f.operator()
		began := time.Now()
		if err := f.during("pause", func(ctx context.Context) error { return o.PauseAll(ctx) }); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("it took %v, want a poll: nothing waits for the settle delay", took)
		}
		third := f.join()
		f.watch(20 * time.Second)
		if got := counts(append(ws, third)); !slices.Equal(got, []int{0, 0, 0}) {
			t.Errorf("shards of each while paused: %v", got)
		}
		if !f.describe().Paused {
			t.Error("not described as paused")
		}
		if err := errors.Join(o.Pause(soon(t), "shard-03"), o.ResumeAll(t.Context())); err != nil {
			t.Fatal(err)
		}
		f.watch(20 * time.Second)
		if got := counts(append(ws, third)); !slices.Equal(got, []int{1, 1, 1}) {
			t.Errorf("shards of each after the resume: %v, want one each and one paused by name", got)
		}
	})
}

// What an operator gave up may be applied later, but not after the opposite was answered.
func TestWhatWasTakenBackDoesNotComeLate(t *testing.T) {
	for name, c := range map[string]struct {
		do, undo func(ctx context.Context, o lease.Operator) error
	}{
		"the application": {
			func(ctx context.Context, o lease.Operator) error { return o.PauseAll(ctx) },
			func(ctx context.Context, o lease.Operator) error { return o.ResumeAll(ctx) },
		},
		"a shard": {
			func(ctx context.Context, o lease.Operator) error { return o.Pause(ctx, "a") },
			func(ctx context.Context, o lease.Operator) error { return o.Resume(ctx, "a") },
		},
		"a worker": {
			func(ctx context.Context, o lease.Operator) error { return o.Drain(ctx, "worker1") },
			func(ctx context.Context, o lease.Operator) error { return o.Undrain(ctx, "worker1") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, "a")
				defer f.close()
				w := f.join()
				f.until("work on a", func() bool { return len(w.shards()) == 1 })
				o, wire := f.operator()
				wire.next(func(string, lease.Row) fault {
					wire.failing = errFailed // from here on
					return delayed
				})
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if err := c.do(ctx, o); err == nil {
					t.Fatal("it was done although nothing was answered")
				}
				again, _ := f.operator()
				if err := c.undo(t.Context(), again); err != nil {
					t.Fatal(err)
				}
				wire.land()
				f.watch(10 * time.Second)
				if got := w.shards(); len(got) != 1 {
					t.Errorf("works on %v, and on a before", got)
				}
			})
		})
	}
}

// A take that was judged before the application was paused, and comes late, does not outlive the answer.
func TestNothingIsTakenAfterAPauseHasReturned(t *testing.T) {
	for lead := range 24 {
		t.Run(fmt.Sprint(lead), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, ids(2)...)
				defer f.close()
				f.wiring = func(w *wire) { w.latency = 400 * time.Millisecond }
				w := f.join()
				f.until("rows", func() bool { return f.store.lease("shard-01").State != "" })
				pass(t, time.Duration(lead)*100*time.Millisecond)
				o, _ := f.operator()
				if err := f.during("pause", func(ctx context.Context) error { return o.PauseAll(ctx) }); err != nil {
					t.Fatal(err)
				}
				taken := len(w.all())
				for range 400 {
					f.watch(tick)
					if n := len(w.all()); n != taken || len(w.shards()) > 0 {
						t.Fatalf("the pause has returned, and of %d leases %v are worked on, %d were there before", n, w.shards(), taken)
					}
				}
			})
		})
	}
}

// What the owner of a paused shard cannot do, a worker that sees it die does; a zombie's checkpoint is refused.
func TestAPauseWaitsForTheOwnerOrForItsDeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		defer f.close()
		w := f.join()
		f.until("work on a", func() bool { return w.job("a") != nil })
		old := w.job("a")
		w.wire.hang()
		o, _ := f.operator()
		began := time.Now()
		if err := f.during("pause", func(ctx context.Context) error { return o.Pause(ctx, "a") }); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 10*time.Second || took > 12*time.Second {
			t.Errorf("the pause of a dead owner's shard took %v, want the expiry, 10 s", took)
		}
		w.wire.resume()
		f.watch(20 * time.Second)
		if old.Valid() || w.job("a") != nil || f.store.lease("a").Owner != "" {
			t.Errorf("the zombie came back: %+v", f.store.lease("a"))
		}
	})
}

func TestADrainedWorkerHasNothingAndGetsNothing(t *testing.T) {
	for _, by := range []string{"name", "session"} {
		t.Run(by, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, ids(6)...)
				defer f.close()
				ws := f.joinAll(2)
				f.watch(20 * time.Second)
				who := ws[0].name
				if by == "session" {
					who = ws[0].job(ws[0].shards()[0]).Session()
				}
				o, _ := f.operator()
				began := time.Now()
				if err := f.during("drain", func(ctx context.Context) error { return o.Drain(ctx, who) }); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took > 4*time.Second {
					t.Errorf("it took %v, want a poll", took)
				}
				if got := len(ws[0].shards()); got != 0 {
					t.Errorf("it has %d shards", got)
				}
				f.watch(10 * time.Second)
				third := f.join()
				f.watch(20 * time.Second)
				if got := []int{len(ws[0].shards()), len(ws[1].shards()), len(third.shards())}; !slices.Equal(got, []int{0, 3, 3}) {
					t.Errorf("shards of each: %v, want 0, 3, 3", got)
				}
				for _, w := range f.describe().Workers {
					if w.Draining != (w.Name == ws[0].name) {
						t.Errorf("%s is described as draining: %v", w.Name, w.Draining)
					}
				}
				if err := o.Undrain(t.Context(), who); err != nil {
					t.Fatal(err)
				}
				f.watch(20 * time.Second)
				if got := counts(f.workers); !slices.Equal(got, []int{2, 2, 2}) {
					t.Errorf("shards of each afterwards: %v", got)
				}
			})
		})
	}
}

func TestTheDrainOfADeadWorkerEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a", "b")
		defer f.close()
		w := f.join()
		f.until("work on both", func() bool { return len(w.shards()) == 2 })
		w.wire.hang()
		o, _ := f.operator()
		if err := f.during("drain", func(ctx context.Context) error { return o.Drain(ctx, w.name) }); err != nil {
			t.Error(err)
		}
		w.wire.resume()
	})
}

func TestTheLastWorkerCanBeDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a", "b")
		defer f.close()
		w := f.join()
		f.until("work on both", func() bool { return len(w.shards()) == 2 })
		o, _ := f.operator()
		if err := f.during("drain", func(ctx context.Context) error { return o.Drain(ctx, w.name) }); err != nil {
			t.Error(err)
		}
		f.watch(20 * time.Second)
		if got := len(w.shards()); got != 0 {
			t.Errorf("it has %d shards again", got)
		}
	})
}

// A newer version may ask for what this one does not know: that shard rests, and somebody is told once.
func TestARequestThatThisVersionDoesNotKnowMakesTheShardRest(t *testing.T) {
	for _, request := range []string{`{"do":"split","at":7}`, `{"pause":true}`, `[1]`} {
		t.Run(request, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, "a", "b")
				defer f.close()
				w := f.join()
				f.until("work on both", func() bool { return len(w.shards()) == 2 })
				f.rewrite("orders/S/one/a", `"request":null`, `"request":`+request)
				f.watch(2 * time.Minute)
				if got := w.shards(); !slices.Equal(got, []string{"b"}) {
					t.Errorf("worked on: %v, want b alone", got)
				}
				told := 0
				for _, err := range w.errors {
					if strings.Contains(err.Error(), "shard a rests") && strings.Contains(err.Error(), "orders/S/one/a") {
						told++
					}
				}
				if told < 1 || told > 2 { // its release is another version of the row
					t.Errorf("told %d times: %v", told, w.errors)
				}
				o, _ := f.operator()
				for name, err := range map[string]error{"pause": o.Pause(soon(t), "a"), "resume": o.Resume(soon(t), "a")} {
					if err == nil || !strings.Contains(err.Error(), "shard a rests") {
						t.Errorf("%s: %v", name, err)
					}
				}
				if rows, err := f.store.Get(t.Context(), []string{"orders/S/one/a"}); err != nil || !has(rows[0], request) {
					t.Errorf("the row: %s, %v", rows[0].Value, err)
				}
			})
		})
	}
}

// rewrite changes the text of a row, so that all hear of it.
func (f *fleet) rewrite(key, old, now string) {
	f.t.Helper()
	rows, err := f.store.Get(f.t.Context(), []string{key})
	if err != nil || !strings.Contains(string(rows[0].Value), old) {
		f.t.Fatalf("%s: %s, %v", key, rows[0].Value, err)
	}
	rows[0].Value, rows[0].Cursor = []byte(strings.Replace(string(rows[0].Value), old, now, 1)), ""
	if errs := f.store.store.Put(f.t.Context(), rows); errs != nil {
		f.t.Fatal(errs)
	}
}

func TestErrorsOfAnOperatorNameWhatTheyAreAbout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a", "b")
		defer f.close()
		w := f.join()
		f.until("work on both", func() bool { return len(w.shards()) == 2 })
		o, _ := f.operator()
		ctx := t.Context()
		other := lease.Operator{Store: o.Store, App: "payments"}
		if _, err := other.Describe(ctx); !errors.Is(err, lease.ErrNoApplication) {
			t.Errorf("of an application that there is not: %v", err)
		}
		late, cancel := context.WithCancelCause(ctx)
		cancel(errors.New("the end"))
		for what, c := range map[string]struct {
			err   error
			parts []string
		}{
			"another application":  {errOf(other.Describe(ctx)), []string{`"payments"`, "no such application", "payments/A"}},
			"pause of none":        {o.Pause(ctx), []string{`"orders"`, "no shard is named", "PauseAll"}},
			"resume of none":       {o.Resume(ctx), []string{`"orders"`, "no shard is named", "ResumeAll"}},
			"pause of a stranger":  {o.Pause(ctx, "c"), []string{`pause application "orders"`, `"c" has no row`, "Describe"}},
			"resume of a stranger": {o.Resume(ctx, "c"), []string{`resume application "orders"`, `"c" has no row`}},
			"reset of a stranger":  {errOf(o.Reset(ctx, lease.Reset{Shards: []string{"c"}})), []string{`"orders"`, `"c"`, "Describe"}},
			"drain of a stranger":  {o.Drain(ctx, "worker9"), []string{`"orders"`, `"worker9"`, "Describe"}},
			"no store":             {lease.Operator{App: "orders"}.PauseAll(ctx), []string{"Store"}},
			"negative":             {lease.Operator{Store: memlease.New(), App: "orders", Poll: -1}.PauseAll(ctx), []string{"Poll", "positive"}},
			"the end of ctx":       {o.Pause(late, "a"), []string{"the end"}},
		} {
			for _, part := range c.parts {
				if c.err == nil || !strings.Contains(c.err.Error(), part) {
					t.Errorf("%s: %v, want it to say %s", what, c.err, part)
				}
			}
		}
		stuck := w.job("a")
		done := make(chan struct{})
		go func() { _ = stuck.order(func(context.Context, *lease.Lease) error { <-done; return nil }, false) }()
		patience, stop := context.WithTimeout(ctx, 5*time.Second)
		defer stop()
		err := f.during("pause", func(context.Context) error { return o.Pause(patience, "a", "b") })
		for _, part := range []string{`"orders"`, "shard a is still worked on by " + stuck.Session() + ", and so are 0 others", "call again"} {
			if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(fmt.Sprint(err), part) {
				t.Errorf("with a handler that does not return: %v, want it to say %s", err, part)
			}
		}
		close(done)
	})
}

func errOf[T any](_ T, err error) error { return err }
