package lease_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/lease"
)

// moves notes at the wire when each shard was released and taken.
type moves struct {
	mu       sync.Mutex
	released map[string]time.Time
	next     map[string]string // to whom, by shard
	writes   int               // of releases
	pauses   []time.Duration
}

// follow has every worker's releases and takes noted.
func (f *fleet) follow() *moves {
	m := &moves{released: make(map[string]time.Time), next: make(map[string]string)}
	for _, w := range f.workers {
		w.wire.set(func() { w.wire.took = m.note })
	}
	return m
}

func (m *moves) note(row lease.Row) {
	if kind(row.Key) != "S" || row.Version < 2 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if has(row, `"owner":""`) {
		m.released[row.Key] = time.Now()
		m.next[row.Key] = between(row.Value, `"next":"`)
		m.writes++
	} else if at, ok := m.released[row.Key]; ok && has(row, `"next":""`) {
		m.pauses = append(m.pauses, time.Since(at))
		delete(m.released, row.Key)
	}
}

func (m *moves) taken() []time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(slices.Values(m.pauses))
}

// between is the text that follows a mark, up to the next quote.
func between(text []byte, mark string) string {
	_, after, _ := strings.Cut(string(text), mark)
	before, _, _ := strings.Cut(after, `"`)
	return before
}

func TestWhoJoinsIsHandedItsShareByName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ids(12)...)
		defer f.close()
		first := f.join()
		f.watch(10 * time.Second)
		for _, id := range first.shards() {
			if err := first.job(id).checkpoint(7); err != nil {
				t.Fatal(err)
			}
		}
		second, third := f.join(), f.join()
		m := f.follow()
		f.watch(15 * time.Second)
		if got := counts(f.workers); !slices.Equal(got, []int{4, 4, 4}) {
			t.Fatalf("shards of each: %v", got)
		}
		if m.writes != 8 {
			t.Errorf("%d releases were written, want one for each of the 8 that moved", m.writes)
		}
		for _, w := range []*crew{second, third} {
			for _, j := range w.all() {
				if to := m.next["orders/S/one/"+j.Shard().ID]; to != j.Session() {
					t.Errorf("%s has shard %s, which was handed to %q", j.Session(), j.Shard().ID, to)
				}
				if j.Epoch() != 2 || j.Position() != checkpoint.Offset(7) {
					t.Errorf("shard %s was taken in epoch %d at %s, want 2 and 7", j.Shard().ID, j.Epoch(), j.Position())
				}
			}
		}
	})
}

func TestANextThatGoesMeanwhileIsNobody(t *testing.T) {
	for name, c := range map[string]struct {
		goes  func(w *crew)
		takes time.Duration
	}{
		"it dies":  {func(w *crew) { w.wire.fail(errFailed) }, 16 * time.Second},
		"it stops": {func(w *crew) { w.stop(nil) }, 8 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, "a", "b")
				defer f.close()
				first := f.join()
				f.watch(5 * time.Second)
				second := f.join()
				var gone atomic.Bool
				first.wire.set(func() {
					first.wire.took = func(row lease.Row) {
						if kind(row.Key) == "S" && has(row, `"next":"worker2`) && gone.CompareAndSwap(false, true) {
							c.goes(second) // just before it is handed a shard
						}
					}
				})
				f.until("a release to the second", gone.Load)
				began := time.Now()
				f.until("work on both by the first", func() bool { return len(first.shards()) == 2 })
				if took := time.Since(began); took > c.takes {
					t.Errorf("taken back after %v, want %v at most", took, c.takes)
				}
			})
		})
	}
}

// polls is how often a worker looks at the sessions in a while.
func (w *crew) polls(d time.Duration) int {
	w.wire.set(func() { w.wire.lists["W/"] = 0 })
	w.f.watch(d)
	n := 0
	w.wire.set(func() { n = w.wire.lists["W/"] })
	return n
}

func TestAWorkerLooksOftenerWhileAnotherIsAboutToRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a", "b")
		defer f.close()
		first := f.join()
		f.watch(5 * time.Second)
		busy := make(chan struct{})
		for _, id := range []string{"a", "b"} {
			j := first.job(id)
			go func() { _ = j.order(func(context.Context, *lease.Lease) error { <-busy; return nil }, false) }()
		}
		second := f.join()
		if n := second.polls(50 * time.Second); n < 85 || n > 110 {
			t.Errorf("%d looks in 50 s while the first is about to release, want one each half second", n)
		}
		f.watch(12 * time.Second)
		if n := second.polls(50 * time.Second); n < 20 || n > 26 {
			t.Errorf("%d looks in 50 s after a minute of that, want one each 2 s", n)
		}
		close(busy)
		f.until("work by the second", func() bool { return len(second.shards()) == 1 })
		f.watch(time.Second)
		if n := second.polls(50 * time.Second); n < 20 || n > 26 {
			t.Errorf("%d looks in 50 s at rest, want one each 2 s", n)
		}
	})
}

func TestAnOwnerThatIsMissingIsNoReasonToLookOftener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		defer f.close()
		first, second := f.join(), f.join()
		f.watch(5 * time.Second)
		if len(first.shards()) == 0 {
			first, second = second, first
		}
		session := first.job("a").Session()
		first.wire.fail(errFailed)
		rows, err := f.store.Get(t.Context(), []string{"W/" + session})
		if err != nil {
			t.Fatal(err)
		}
		if errs := f.store.store.Delete(t.Context(), rows); errs != nil {
			t.Fatal(errs)
		}
		if n := second.polls(8 * time.Second); n > 5 {
			t.Errorf("%d looks in 8 s, want 4", n)
		}
	})
}

// From the release of a shard to its take: those that are moved to a worker that joins, and those of a worker that stops, at once or after 4 s of draining.
func TestThePauseOfAHandover(t *testing.T) {
	for name, c := range map[string]struct {
		typical, worst time.Duration
		move           func(f *fleet)
	}{
		"joins": {600 * time.Millisecond, time.Second, func(f *fleet) { f.join() }},
		"stops": {1500 * time.Millisecond, 4 * time.Second, func(f *fleet) { f.workers[0].stop(nil) }},
		"stops slowly": {600 * time.Millisecond, time.Second, func(f *fleet) {
			for _, id := range f.workers[0].shards() {
				j := f.workers[0].job(id)
				go func() {
					_ = j.order(func(context.Context, *lease.Lease) error { pass(f.t, 4*time.Second); return nil }, false)
				}()
			}
			synctest.Wait() // all are at it
			f.workers[0].stop(nil)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var all []time.Duration
			for phase := range 10 {
				synctest.Test(t, func(t *testing.T) {
					f := newFleet(t, ids(12)...)
					defer f.close()
					f.joinAll(3)
					f.watch(20*time.Second + time.Duration(phase)*310*time.Millisecond)
					m := f.follow()
					c.move(f)
					if len(f.workers) > 3 {
						m = f.follow()
					}
					f.watch(15 * time.Second)
					all = append(all, m.taken()...)
				})
			}
			slices.Sort(all)
			if len(all) < 30 {
				t.Fatalf("%d shards moved", len(all))
			}
			t.Logf("%d moves: p50 %v, p95 %v, worst %v", len(all), all[len(all)/2], all[len(all)*95/100], all[len(all)-1])
			if all[len(all)/2] > c.typical || all[len(all)-1] > c.worst {
				t.Errorf("p50 %v and worst %v, want %v and %v at most", all[len(all)/2], all[len(all)-1], c.typical, c.worst)
			}
		})
	}
}

// Six workers are replaced one after the other, each stopping cleanly before its successor joins: nothing is delivered again, and little more moves than what the workers that stop have, and
// what their successors get.
func TestARollingDeployRepeatsNothing(t *testing.T) {
	const workers, shards = 6, 24
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, ids(shards)...)
		defer f.close()
		f.joinAll(workers)
		f.watch(30 * time.Second)
		n := uint64(0)
		progress := func(d time.Duration) {
			for range d / time.Second {
				n++
				for _, w := range f.workers {
					for _, id := range w.shards() {
						if j := w.job(id); j != nil {
							_ = j.checkpoint(n) // it may be draining
						}
					}
				}
				f.watch(time.Second)
			}
		}
		before := 0
		for _, w := range f.workers {
			before += len(w.all())
		}
		for i := range workers {
			f.workers[i].stop(nil)
			progress(5 * time.Second)
			f.join()
			progress(20 * time.Second)
		}
		after, repeats := 0, 0
		leases := make(map[string][]*job)
		for _, w := range f.workers {
			after += len(w.all())
			for _, j := range w.all() {
				leases[j.Shard().ID] = append(leases[j.Shard().ID], j)
			}
		}
		for id, js := range leases {
			slices.SortFunc(js, func(a, b *job) int { return int(a.Epoch()) - int(b.Epoch()) })
			for i, j := range js[1:] {
				if j.Start() != checkpoint.After(js[i].Position()) {
					t.Errorf("shard %s begins at %s in epoch %d, and epoch %d had come to %s", id, j.Start(), j.Epoch(), js[i].Epoch(), js[i].Position())
					repeats++
				}
			}
		}
		least := workers * 2 * shards / workers
		t.Logf("%d moves, %d are the least; %d repeats", after-before, least, repeats)
		if moved := after - before; moved > least*11/10 {
			t.Errorf("%d moves, want little more than %d", moved, least)
		}
		if got := counts(f.workers[workers:]); !slices.Equal(got, []int{4, 4, 4, 4, 4, 4}) {
			t.Errorf("shards of each successor: %v", got)
		}
	})
}
