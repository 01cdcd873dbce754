package lease_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/lease"
)

func TestTheNameBelongsToAnotherStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		defer f.close()
		f.join()
		f.watch(5 * time.Second)
		f.config = func(c *lease.Config) { c.Stream = "payments" }
		w := f.join()
		<-w.done
		if err := w.err; !errors.Is(err, lease.ErrStream) || !strings.Contains(err.Error(), "payments") || !strings.Contains(err.Error(), "reads stream") {
			t.Errorf("Run: %v, want ErrStream with both streams named", err)
		}
		w.err = nil
		f.watch(5 * time.Second)
		if got := f.workers[0].shards(); !slices.Equal(got, []string{"a"}) {
			t.Errorf("the other application has %v", got)
		}
	})
}

func TestANewIncarnationIsReadFromItsBeginningByAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		defer f.close()
		f.config = func(c *lease.Config) { c.Incarnated = f.stream.incarnated }
		old := f.join()
		f.watch(5 * time.Second)
		if err := old.job("a").checkpoint(9); err != nil {
			t.Fatal(err)
		}
		f.stream.with(func() { f.stream.incarnation = "two" })
		f.config = func(c *lease.Config) { c.Incarnated, c.Incarnation = f.stream.incarnated, "two" }
		f.join()
		f.watch(5 * time.Second)
		<-old.done
		if !errors.Is(old.err, lease.ErrIncarnation) {
			t.Errorf("the worker on the old one: %v, want ErrIncarnation", old.err)
		}
		old.err = nil
		j := f.workers[1].job("a")
		if j == nil || j.Start().String() != "TRIM_HORIZON" || !j.Position().IsZero() {
			t.Errorf("the new one is not read from its beginning: %+v", j)
		}
		if got := f.store.lease("a"); got.Position.String() != "9" || got.Owner != "" {
			t.Errorf("the lease of the old one: %+v, want it kept at 9 and released", got)
		}
	})
}

func TestAWorkerThatIsAloneNoticesANewIncarnation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		defer f.close()
		f.config = func(c *lease.Config) { c.Incarnated = f.stream.incarnated }
		w := f.join()
		f.watch(5 * time.Second)
		f.stream.with(func() { f.stream.incarnation = "two" })
		<-w.done
		if !errors.Is(w.err, lease.ErrIncarnation) {
			t.Errorf("Run: %v, want ErrIncarnation", w.err)
		}
		w.err = nil
		if got := f.store.lease("a"); got.Owner != "" {
			t.Errorf("shard a is left to %s", got.Owner)
		}
	})
}

func TestAWorkerWithAnOldIncarnationDoesNotStopTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		defer f.close()
		f.config = func(c *lease.Config) { c.Incarnated = f.stream.incarnated }
		f.join()
		f.watch(5 * time.Second)
		f.config = func(c *lease.Config) { c.Incarnated, c.Incarnation = f.stream.incarnated, "zero" }
		w := f.join()
		<-w.done
		if !errors.Is(w.err, lease.ErrIncarnation) {
			t.Errorf("Run: %v, want ErrIncarnation", w.err)
		}
		w.err = nil
		f.watch(10 * time.Second)
		if got := f.workers[0].shards(); !slices.Equal(got, []string{"a"}) {
			t.Errorf("shards of the worker on the stream that there is: %v", got)
		}
	})
}

// A reset that was broken off is of the old incarnation's shards, of which the new one has none: it must not stand in the way of others for ever.
func TestAResetThatWasBrokenOffEndsWithItsIncarnation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		defer f.close()
		f.store.whole = true
		old := f.join()
		f.watch(5 * time.Second)
		o, wire := f.operator()
		wire.next(func(string, lease.Row) fault {
			wire.failing = errFailed // after the first write
			return noFault
		})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := f.during("reset", func(context.Context) error { return errOf(o.Reset(ctx, lease.Reset{Shards: []string{"a"}})) }); !errors.Is(err, errFailed) {
			t.Errorf("the reset that was cut off: %v", err)
		}
		f.config = func(c *lease.Config) { c.Incarnation = "two" }
		f.stream.with(func() { f.stream.shards = []lease.Shard{{ID: "b"}} })
		f.join()
		f.watch(10 * time.Second)
		if _, err := f.resets(lease.Reset{Shards: []string{"b"}}); err != nil {
			t.Errorf("a reset of the new incarnation: %v", err)
		}
		if j := f.at("b"); j.Generation() != 1 {
			t.Errorf("b is read in generation %d", j.Generation())
		}
		f.rest()
		<-old.done
		old.err = nil
	})
}

// The shards of two incarnations may have the same names: what was asked of one must not be done to the other, of which a position says nothing.
func TestAnOperatorDoesNotMixIncarnations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		defer f.close()
		old := f.join()
		f.watch(5 * time.Second)
		what := lease.Reset{To: checkpoint.After(checkpoint.Offset(7)), Shards: []string{"a"}, Held: func(context.Context, string) (bool, error) {
			f.config = func(c *lease.Config) { c.Incarnation = "two" }
			f.join()
			pass(t, 10*time.Second)
			return true, nil
		}}
		if _, err := f.resets(what); err == nil || !strings.Contains(err.Error(), "another incarnation") {
			t.Errorf("the reset of what is another incarnation meanwhile: %v", err)
		}
		if j := f.workers[1].job("a"); j == nil || j.Generation() != 0 || j.Start() != (checkpoint.Start{}) {
			t.Errorf("the new one: %+v, want it read from its beginning", j)
		}
		<-old.done
		old.err = nil
	})
}
