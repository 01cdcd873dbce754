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

// family is a fleet of two over a shard p that was split into a and b, which were merged into m, with m at 4. No audit of orphans is needed: resets are of whole lineages.
func newFamily(t *testing.T) *fleet {
	t.Helper()
	f := newFleet(t, "p")
	f.store.whole = true
	f.joinAll(2)
	a, b := lease.Shard{ID: "a", Parents: []string{"p"}}, lease.Shard{ID: "b", Parents: []string{"p"}}
	m := lease.Shard{ID: "m", Parents: []string{"a", "b"}}
	f.stream.add(a, b, m)
	f.ends("p", 9, a, b)
	f.ends("a", 5, m)
	f.ends("b", 6, m)
	if err := f.at("m").checkpoint(4); err != nil {
		t.Fatal(err)
	}
	return f
}

// at waits for work on a shard.
func (f *fleet) at(id string) (j *job) {
	f.t.Helper()
	f.until("work on "+id, func() bool { j = f.job(id); return j != nil })
	return j
}

// job is the valid work on a shard, whoever does it.
func (f *fleet) job(id string) *job {
	for _, w := range f.workers {
		if j := w.job(id); j != nil && j.Valid() {
			return j
		}
	}
	return nil
}

func (f *fleet) ends(id string, at uint64, children ...lease.Shard) {
	f.t.Helper()
	if err := f.at(id).end(at, children...); err != nil {
		f.t.Fatal(err)
	}
}

// again has the family read through in a generation, and asserts that each shard is read from its beginning and after its parents.
func (f *fleet) again(generation uint64, start checkpoint.Start) {
	f.t.Helper()
	descendants := map[string][]string{"p": {"a", "b", "m"}, "a": {"m"}, "b": {"m"}}
	for _, id := range []string{"p", "a", "b", "m"} {
		j := f.at(id)
		for _, below := range descendants[id] {
			if f.job(below) != nil {
				f.t.Errorf("%s is worked on before %s has ended", below, id)
			}
		}
		if j.Generation() != generation || j.Start() != start || !j.Position().IsZero() {
			f.t.Errorf("%s is read in generation %d from %s, at %s, want generation %d from %s", id, j.Generation(), j.Start(), j.Position(), generation, start)
		}
		if err := j.end(7); err != nil {
			f.t.Fatal(err)
		}
	}
	f.rest()
}

// rest asserts that nothing is asked any longer.
func (f *fleet) rest() {
	f.t.Helper()
	a := f.describe()
	for _, s := range a.Shards {
		if s.Request != "" {
			f.t.Errorf("shard %s is still asked for: %s", s.Shard, s.Request)
		}
	}
	if a.Reset != "" {
		f.t.Errorf("still under way: %s", a.Reset)
	}
}

// resets has an operator reset, and gives what it says.
func (f *fleet) resets(what lease.Reset) (generation uint64, err error) {
	f.t.Helper()
	o, _ := f.operator()
	err = f.during("reset", func(ctx context.Context) error {
		generation, err = o.Reset(ctx, what)
		return err
	})
	return generation, err
}

func TestAResetHasEverythingReadAgain(t *testing.T) {
	for name, c := range map[string]struct {
		to     checkpoint.Start
		owners func(f *fleet)
		takes  time.Duration
	}{
		"from the oldest":  {checkpoint.Start{}, func(*fleet) {}, 4 * time.Second},
		"from an instant":  {checkpoint.AtTime(time.Unix(77, 123_456_789)), func(*fleet) {}, 4 * time.Second},
		"of a dead owner":  {checkpoint.Start{}, func(f *fleet) { f.owner("m").wire.fail(errFailed) }, 13 * time.Second},
		"of a zombie":      {checkpoint.Start{}, func(f *fleet) { f.owner("m").wire.hang() }, 13 * time.Second},
		"with all dead":    {checkpoint.Start{}, func(f *fleet) { f.workers[0].wire.hang(); f.workers[1].wire.hang() }, 13 * time.Second},
		"with all stopped": {checkpoint.Start{}, (*fleet).stopAll, 4 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFamily(t)
				defer f.close()
				old := f.at("m")
				c.owners(f)
				began := time.Now()
				generation, err := f.resets(lease.Reset{All: true, To: c.to})
				if err != nil || generation != 1 {
					t.Fatalf("generation %d, %v, want 1", generation, err)
				}
				if took := time.Since(began); took > c.takes {
					t.Errorf("it took %v, want %v at most", took, c.takes)
				}
				for _, w := range f.workers {
					w.wire.resume()
				}
				if name == "with all stopped" {
					f.join()
				}
				f.again(1, c.to)
				if old.Valid() {
					t.Error("the lease of the old generation is valid")
				}
			})
		})
	}
}

// owner is the worker that works on a shard.
func (f *fleet) owner(id string) *crew {
	f.t.Helper()
	for _, w := range f.workers {
		if j := w.job(id); j != nil && j.Valid() {
			return w
		}
	}
	f.t.Fatalf("nobody works on %s", id)
	return nil
}

func (f *fleet) stopAll() {
	for _, w := range f.workers {
		w.stop(nil)
		<-w.done
	}
}

func TestAZombiesCheckpointAfterAResetIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFamily(t)
		defer f.close()
		zombie, j := f.owner("m"), f.at("m")
		sent := zombie.wire.once(delayed, func(_ string, row lease.Row) bool { return has(row, `"position":"8"`) })
		go func() { _ = j.checkpoint(8) }()
		<-sent
		zombie.wire.hang()
		if _, err := f.resets(lease.Reset{All: true}); err != nil {
			t.Fatal(err)
		}
		zombie.wire.land()
		zombie.wire.resume()
		f.watch(5 * time.Second)
		if got := f.store.lease("m"); !got.Position.IsZero() || got.Generation != 1 {
			t.Errorf("after the zombie's checkpoint: %+v", got)
		}
		f.again(1, checkpoint.Start{})
	})
}

func TestAResetOfOneShardLeavesTheOthersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFamily(t)
		defer f.close()
		f.store.whole = false
		after := checkpoint.After(checkpoint.Offset(2))
		if generation, err := f.resets(lease.Reset{To: after, Shards: []string{"b"}}); err != nil || generation != 1 {
			t.Fatalf("generation %d, %v", generation, err)
		}
		if j := f.at("b"); j.Start() != after || j.Generation() != 1 {
			t.Errorf("b from %s in generation %d", j.Start(), j.Generation())
		}
		for _, id := range []string{"p", "a"} {
			if got := f.store.lease(id); got.State != "ended" || got.Generation != 0 {
				t.Errorf("%s: %+v, want it as it was", id, got)
			}
		}
		if f.job("m") != nil {
			t.Error("m is worked on before b has ended again")
		}
		f.ends("b", 6)
		if j := f.at("m"); j.Start() != (checkpoint.Start{}) || j.Generation() != 1 {
			t.Errorf("m from %s in generation %d, want it from its beginning", j.Start(), j.Generation())
		}
	})
}

func TestAShardThatTheServiceDoesNotHoldStaysAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFamily(t)
		defer f.close()
		f.store.whole = false
		asked := make(map[string]int)
		_, err := f.resets(lease.Reset{All: true, Held: func(_ context.Context, id string) (bool, error) {
			asked[id]++
			return id != "p", nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		if got := f.store.lease("p"); got.State != "ended" || got.Generation != 0 {
			t.Errorf("p: %+v, want it as it was", got)
		}
		if a, b := f.at("a"), f.at("b"); a.Generation() != 1 || b.Generation() != 1 {
			t.Errorf("a in generation %d, b in %d", a.Generation(), b.Generation())
		}
		if asked["p"] != 1 || len(asked) != 4 {
			t.Errorf("asked: %v, want each once", asked)
		}
	})
}

func TestWhatIsPausedByNameStaysSoAcrossAReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "x", "y", "z")
		defer f.close()
		f.join()
		f.at("z")
		o, _ := f.operator()
		if err := f.during("pause", func(ctx context.Context) error { return o.Pause(ctx, "x") }); err != nil {
			t.Fatal(err)
		}
		if _, err := f.resets(lease.Reset{All: true}); err != nil {
			t.Fatal(err)
		}
		f.watch(20 * time.Second)
		if got := f.workers[0].shards(); !slices.Equal(got, []string{"y", "z"}) {
			t.Errorf("worked on after the reset: %v, want y and z", got)
		}
		if err := o.Resume(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		if j := f.at("x"); j.Generation() != 1 {
			t.Errorf("x in generation %d", j.Generation())
		}
		f.rest()
	})
}

func TestResetsThatMakeNoSenseAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "x", "y")
		defer f.close()
		f.join()
		f.at("x")
		f.at("y")
		for part, what := range map[string]lease.Reset{
			"no shard is named: Reset.All":        {},
			"names some: choose one":              {All: true, Shards: []string{"x"}},
			"LATEST, which is no place":           {All: true, To: checkpoint.Latest()},
			"a place in one shard":                {All: true, To: checkpoint.After(checkpoint.Offset(3))},
			"Reset.Shards has 2: name that shard": {To: checkpoint.After(checkpoint.Offset(3)), Shards: []string{"x", "y"}},
			"cannot be stored":                    {All: true, To: checkpoint.AtTime(time.Date(20_000, 1, 1, 0, 0, 0, 0, time.UTC))},
			"ask whether the service holds shard": {All: true, Held: func(context.Context, string) (bool, error) { return false, errFailed }},
		} {
			if _, err := f.resets(what); err == nil || !strings.Contains(err.Error(), part) || !strings.Contains(err.Error(), `application "orders"`) {
				t.Errorf("%v: want it to say %s", err, part)
			}
		}
		if x := f.store.lease("x"); x.Owner == "" || len(f.workers[0].all()) != 2 {
			t.Errorf("work was stopped by a reset that was refused: %+v", x)
		}
		f.rest()
		f.rewrite("orders/S/one/y", `"state":"open"`, `"state":"half"`)
		if _, err := f.resets(lease.Reset{All: true}); !errors.Is(err, lease.ErrRow) || !strings.Contains(err.Error(), "orders/S/one/y") {
			t.Errorf("with a corrupt row: %v", err)
		}
		o, _ := f.operator()
		if a, err := o.Describe(t.Context()); !errors.Is(err, lease.ErrRow) || len(a.Shards) != 1 || len(a.Workers) != 1 {
			t.Errorf("described with a corrupt row: %v, %v", a, err)
		}
	})
}
