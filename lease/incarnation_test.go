package lease_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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
