package lease_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/lease"
)

// joinIn starts a worker in a zone.
func (f *fleet) joinIn(zone string) *crew {
	f.t.Helper()
	f.config = func(c *lease.Config) { c.Zone = zone }
	return f.join()
}

// A shard that nobody has goes to who is where it was last worked on.
func TestShardsStayInTheirZoneIfTheyCan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ids(8)...)
		defer f.close()
		f.joinIn("x")
		f.joinIn("y")
		f.watch(20 * time.Second)
		zones := make(map[string]string)
		for i, zone := range []string{"x", "y"} {
			for _, id := range f.workers[i].shards() {
				zones[id] = zone
			}
		}
		for _, s := range f.describe().Shards {
			if s.Zone != zones[s.Shard] {
				t.Errorf("shard %s is said to be in %q, want %q", s.Shard, s.Zone, zones[s.Shard])
			}
		}
		o, _ := f.operator()
		if err := f.during("pause", func(ctx context.Context) error { return o.PauseAll(ctx) }); err != nil {
			t.Fatal(err)
		}
		f.stopAll()
		ws := []*crew{f.joinIn("y"), f.joinIn("x")}
		f.watch(5 * time.Second)
		if err := o.ResumeAll(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.watch(5 * time.Second)
		for i, zone := range []string{"y", "x"} {
			for _, id := range ws[i].shards() {
				if zones[id] != zone {
					t.Errorf("shard %s moved from zone %s to %s", id, zones[id], zone)
				}
			}
		}
		if got := counts(ws); !slices.Equal(got, []int{4, 4}) {
			t.Errorf("shards of each: %v", got)
		}
		for _, w := range f.describe().Workers {
			if want := map[string]string{ws[0].name: "y", ws[1].name: "x"}[w.Name]; w.Zone != want || w.Shards != 4 || !w.Alive {
				t.Errorf("described: %+v, want zone %s", w, want)
			}
		}
	})
}

// weighted is two workers of four shards, one of which brings twice what the three others do; of each worker it is said whether it wants shards shared out by weight.
func weighted(t *testing.T, byWeight ...bool) *fleet {
	t.Helper()
	f := newFleet(t, ids(4)...)
	for _, by := range byWeight {
		f.config = func(c *lease.Config) { c.ByWeight = by }
		f.join()
	}
	f.watch(20 * time.Second)
	for id, rate := range map[string]string{"shard-00": "6000000", "shard-01": "1000000", "shard-02": "1000000", "shard-03": "1000000"} {
		f.rewrite("orders/S/one/"+id, `"rate":0`, `"rate":`+rate)
	}
	f.watch(30 * time.Second)
	return f
}

func TestSharesGoByWeightIfAllWantThem(t *testing.T) {
	for name, c := range map[string]struct {
		byWeight []bool
		want     []int
	}{"all": {[]bool{true, true}, []int{1, 3}}, "one of them": {[]bool{true, false}, []int{2, 2}}, "none": {[]bool{false, false}, []int{2, 2}}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := weighted(t, c.byWeight...)
				defer f.close()
				if got := counts(f.workers); !slices.Equal(got, c.want) {
					t.Errorf("shards of each: %v, want %v", got, c.want)
				}
			})
		})
	}
}

// Whose row cannot be read takes part all the same: its shards stay its own, and it has said nothing of weights.
func TestAMemberWhoseRowIsCorruptTakesPartAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := weighted(t, true, true)
		defer f.close()
		session := f.workers[0].job(f.workers[0].shards()[0]).Session()
		f.rewrite("orders/M/"+session, `"byWeight":true`, `"byWeight":1`)
		f.watch(2 * time.Minute)
		if got := counts(f.workers); !slices.Equal(got, []int{2, 2}) {
			t.Errorf("shards of each: %v, want them shared by count", got)
		}
		for _, w := range f.workers {
			told := 0
			for _, err := range w.errors {
				if errors.Is(err, lease.ErrRow) && strings.Contains(err.Error(), "orders/M/"+session) {
					told++
				}
			}
			if told != 1 {
				t.Errorf("%s was told %d times: %v", w.name, told, w.errors)
			}
		}
		if rows, err := f.store.Get(t.Context(), []string{"orders/M/" + session}); err != nil || !has(rows[0], `"byWeight":1`) {
			t.Errorf("the row was written: %s, %v", rows[0].Value, err)
		}
		f.rewrite("orders/M/"+session, `"byWeight":1`, `"byWeight":true`)
		for _, s := range f.describe().Shards {
			if s.Rate == 0 { // it moved, and its owner had seen nothing of what it brings
				f.rewrite("orders/S/one/"+s.Shard, `"rate":0`, `"rate":1000000`)
			}
		}
		f.watch(30 * time.Second)
		if got := counts(f.workers); !slices.Equal(got, []int{1, 3}) {
			t.Errorf("shards of each once it is repaired: %v", got)
		}
	})
}

// What a member says of itself is put right if somebody changed or removed it, and an operator's word in it is kept.
func TestAMemberPutsItsRowRight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ids(4)...)
		defer f.close()
		w := f.joinIn("x")
		f.watch(5 * time.Second)
		key := "orders/M/" + w.job("shard-00").Session()
		f.rewrite(key, `"zone":"x"`, `"zone":"z","newer":7`)
		f.watch(5 * time.Second)
		if rows, err := f.store.Get(t.Context(), []string{key}); err != nil || !has(rows[0], `"zone":"x"`, `"newer":7`) {
			t.Errorf("changed: %s, %v", rows[0].Value, err)
		}
		rows, err := f.store.Get(t.Context(), []string{key})
		if err != nil {
			t.Fatal(err)
		}
		if errs := f.store.store.Delete(t.Context(), rows); errs != nil {
			t.Fatal(errs)
		}
		f.watch(40 * time.Second)
		if rows, err := f.store.Get(t.Context(), []string{key}); err != nil || !has(rows[0], `"zone":"x"`) {
			t.Errorf("removed: %s, %v", rows[0].Value, err)
		}
		before := w.wire.written("M")
		f.watch(time.Minute)
		if n := w.wire.written("M") - before; n != 0 {
			t.Errorf("%d writes of it at rest", n)
		}
	})
}

// An old listing lacks the row, or has it as it was: nothing is written for that.
func TestAnOldListingOfMembersCostsNoWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		defer f.close()
		w := f.join()
		f.watch(5 * time.Second)
		w.wire.set(func() { w.wire.hide = func(key string) bool { return kind(key) == "M" } })
		before := w.wire.written("M")
		f.watch(time.Minute)
		if n := w.wire.written("M") - before; n != 0 {
			t.Errorf("%d writes in a minute of a row that is as it should be", n)
		}
	})
}

// A store may refuse one row, such as one that it throttles, and take all others.
func TestAWeightThatCannotBeStoredIsThatShardsTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a", "b")
		defer f.close()
		f.config = func(c *lease.Config) { c.ByWeight = true }
		w := f.join()
		f.watch(5 * time.Second)
		a, b := w.job("a"), w.job("b")
		a.Weigh(1 << 24)
		b.Weigh(1 << 24)
		w.wire.next(func(_ string, row lease.Row) fault {
			if strings.HasSuffix(row.Key, "/a") {
				return throttled
			}
			return noFault
		})
		f.watch(2 * time.Minute)
		if !a.Valid() || !b.Valid() || f.rate("b") == 0 {
			t.Errorf("a is valid: %t, b: %t, with a weight of %d stored; want both to go on, and that of b stored", a.Valid(), b.Valid(), f.rate("b"))
		}
		w.wire.next(nil)
		f.watch(2 * time.Minute)
		if f.rate("a") == 0 {
			t.Error("the weight of a is not stored once it can be")
		}
	})
}

// rate is the weight that a shard's row has.
func (f *fleet) rate(id string) uint64 {
	f.t.Helper()
	for _, s := range f.describe().Shards {
		if s.Shard == id {
			return s.Rate
		}
	}
	f.t.Fatalf("no shard %s", id)
	return 0
}
