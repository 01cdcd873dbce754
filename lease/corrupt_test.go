package lease_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/lease"
)

func TestSetupThatFailsEndsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		f.wiring = func(w *wire) { w.fail(fmt.Errorf("no index: %w", lease.ErrTable)) }
		w := f.join()
		began := time.Now()
		<-w.done
		if !errors.Is(w.err, lease.ErrTable) || time.Since(began) > time.Second {
			t.Errorf("Run: %v after %v, want ErrTable at once", w.err, time.Since(began))
		}
		f.wiring = func(w *wire) { w.fail(errFailed) }
		w = f.join()
		<-w.done
		if !errors.Is(w.err, errFailed) {
			t.Errorf("Run: %v, want why the store could not be set up", w.err)
		}
	})
}

func TestAnApplicationThatBecomesCorruptStopsNothingThatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ids(4)...)
		ws := f.joinAll(2)
		f.watch(20 * time.Second)
		rows, err := f.store.Get(t.Context(), []string{"orders/A"})
		if err != nil {
			t.Fatal(err)
		}
		good := rows[0]
		rows[0].Value = []byte(`half`)
		if err := f.store.store.Put(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
		running := ws[0].all()
		ws[1].wire.fail(errFailed)
		f.watch(2 * time.Minute)
		for _, j := range running {
			if id := j.Shard().ID; ws[0].job(id) != nil && ws[0].job(id).Epoch() != j.Epoch() {
				t.Errorf("shard %s was taken again", id)
			}
		}
		if got := len(ws[0].shards()); got != 2 {
			t.Errorf("%d shards are worked on, want the two that were, and none taken", got)
		}
		told := 0
		for _, err := range ws[0].errors {
			if errors.Is(err, lease.ErrRow) {
				told++
			}
		}
		if told != 1 {
			t.Errorf("told of the corrupt row %d times, want once", told)
		}
		rows[0].Version, rows[0].Value = good.Version+1, good.Value
		if err := f.store.store.Put(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
		f.until("work on all", func() bool { return len(ws[0].shards()) == 4 })
		f.close()
	})
}

func TestRowsThatWereRemovedAreMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		defer f.close()
		w := f.join()
		f.until("work on a", func() bool { return w.job("a") != nil })
		if err := w.job("a").end(9); err != nil {
			t.Fatal(err)
		}
		f.watch(10 * time.Second)
		rows, err := f.store.Get(t.Context(), []string{"orders/S/one/a"})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.store.store.Delete(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
		f.store.holder = make(map[string]string) // epochs begin anew: an operator's removal raises no floor
		f.watch(70 * time.Second)
		if j := w.job("a"); j == nil || !j.Position().IsZero() {
			t.Errorf("after its row was removed: %+v", f.store.lease("a"))
		}
	})
}

func TestACorruptApplicationEndsRunAndIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		if err := f.store.store.Put(t.Context(), []lease.Row{{Key: "orders/A", Value: []byte(`{"stream":7}`)}}); err != nil {
			t.Fatal(err)
		}
		w := f.join()
		<-w.done
		if !errors.Is(w.err, lease.ErrRow) || !strings.Contains(w.err.Error(), "orders/A") {
			t.Errorf("Run: %v, want ErrRow that names the row", w.err)
		}
		rows, _ := f.store.Get(t.Context(), []string{"orders/A"})
		if string(rows[0].Value) != `{"stream":7}` {
			t.Errorf("the row is %s now", rows[0].Value)
		}
	})
}
