package marks

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
)

func TestMain(m *testing.M) {
	flag.Parse()
	set := false
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == "rapid.checks" })
	if !set {
		if err := flag.Set("rapid.checks", checks); err != nil {
			panic(err)
		}
	}
	m.Run()
}

// naive is a shard that knows of each record by itself what has become of it, and forgets nothing.
type naive struct {
	epoch, generation uint64
	session           string
	low               uint64
	lanes             map[string]uint64 // the last record of a lane that is done above low
	by                map[string]uint64 // in which epoch
	dead              map[[2]uint64]bool

	from map[uint64]uint64          // what each epoch's owner found done
	seen map[uint64]map[uint64]bool // what it tried, or found done by an earlier one
}

// machine does the same to the rows of a sink and to the naive model, and compares.
type machine struct {
	scope dedup.Scope
	book  Book // of all owners, each of whom has an epoch of its own

	seal Seal
	done map[string]Done
	dead map[[2]uint64]bool // by number and generation

	naive naive
}

const (
	modelRecords = 8
	modelKeys    = 3
)

// mark draws a mark of some owner, now or earlier, of the n-th record.
func (m *machine) mark(t *rapid.T, n uint64) dedup.Mark {
	k := dedup.Mark{App: "app", Stream: "stream", Shard: "s", Scope: m.scope, Position: place(n)}
	k.Epoch = rapid.Uint64Range(max(1, m.seal.Epoch)-1, m.seal.Epoch+1).Draw(t, "epoch")
	k.Session = fmt.Sprintf("session %d", k.Epoch)
	k.Generation = max(1, m.seal.Generation)
	if rapid.IntRange(0, 9).Draw(t, "another session") == 0 {
		k.Session = "another"
	}
	if rapid.IntRange(0, 9).Draw(t, "another generation") == 0 {
		k.Generation = rapid.Uint64Range(k.Generation-1, k.Generation+1).Draw(t, "generation")
	}
	m.key(&k, n)
	return k
}

// key gives a mark the key of the n-th record. Some are alone.
func (m *machine) key(k *dedup.Mark, n uint64) {
	if m.scope == dedup.PerKey {
		k.Key = fmt.Sprintf("key %d", n%modelKeys)
		k.Alone = n%5 == 0
	}
}

func place(n uint64) checkpoint.Position {
	if n == 0 {
		return checkpoint.Position{}
	}
	return checkpoint.Offset(n)
}

// refusal is which of the refusals the naive model has for a write.
func (n *naive) refusal(k dedup.Mark) error {
	switch {
	case n.epoch == 0, k.Epoch > n.epoch:
		return dedup.ErrNotSealed
	case k.Epoch < n.epoch, k.Session != n.session:
		return dedup.ErrFenced
	case k.Generation != n.generation:
		return dedup.ErrGeneration
	}
	return nil
}

func (m *machine) same(t *rapid.T, what string, err, want error) {
	if !errors.Is(err, want) {
		t.Fatalf("%s: %v; want %v", what, err, want)
	}
	var r *dedup.RefusedError
	if errors.As(err, &r) && (r.Epoch != m.seal.Epoch || r.Generation != m.seal.Generation || r.Session != m.seal.Session || r.Shard != "s") {
		t.Fatalf("%s: refused by %+v; stored is %+v", what, r, m.seal)
	}
}

func (m *machine) sealing(t *rapid.T) {
	lease := rapid.Uint64Range(0, modelRecords).Draw(t, "lease")
	k := m.mark(t, lease)
	if m.scope == dedup.PerKey && rapid.IntRange(0, 4).Draw(t, "in the order of the shard") == 0 {
		k.Scope = dedup.PerShard
	}
	next, anew, err := m.seal.Sealed(k, len(m.done) > 0)
	n := &m.naive
	var want error
	switch {
	case n.epoch > 0 && (k.Epoch < n.epoch || k.Epoch == n.epoch && k.Session != n.session):
		want = dedup.ErrFenced
	case k.Generation < n.generation:
		want = dedup.ErrGeneration
	case k.Generation == n.generation && k.Scope == dedup.PerShard && len(n.lanes) > 0:
		want = dedup.ErrScope
	}
	if k.Epoch == 0 { // which no lease hands out
		return
	}
	m.same(t, "Seal", err, want)
	if want != nil {
		return
	}
	begins := n.epoch == 0 || k.Generation > n.generation
	if begins != anew {
		t.Fatalf("Seal anew: %v; want %v", anew, begins)
	}
	if begins {
		n.low = lease
		clear(n.lanes)
		clear(m.done)
	}
	if k.Epoch != n.epoch || k.Generation != n.generation {
		n.from[k.Epoch], n.seen[k.Epoch] = n.low, map[uint64]bool{}
	}
	n.epoch, n.session, n.generation = k.Epoch, k.Session, k.Generation
	m.seal = next
	m.book.Sealed(k, next, len(m.dead) > 0)
}

// numbers draws rising numbers of records.
func numbers(t *rapid.T) []uint64 {
	var all []uint64
	for n := range uint64(modelRecords) {
		if rapid.IntRange(0, 3).Draw(t, "in the call") == 0 {
			all = append(all, n+1)
		}
	}
	return all
}

func (m *machine) writing(t *rapid.T) {
	all := numbers(t)
	if len(all) == 0 {
		return
	}
	first := m.mark(t, all[0])
	var ms []dedup.Mark
	for _, n := range all {
		k := first
		k.Position = place(n)
		m.key(&k, n)
		ms = append(ms, k)
	}
	bury := rapid.Bool().Draw(t, "bury")
	n := &m.naive
	if err := m.seal.Admits(first); err != nil || n.refusal(first) != nil {
		m.same(t, "a write", err, n.refusal(first))
		_, err := Decide(m.seal, m.done, newOwner(m.seal, false), ms)
		m.same(t, "a decision", err, n.refusal(first))
		return
	}
	o, err := m.book.Of(first, func() (Seal, error) { return m.seal, nil })
	if err != nil {
		t.Fatal(err)
	}
	low, lanes, by := n.low, maps.Clone(n.lanes), maps.Clone(n.by)
	var fresh []int
	var want error
	for i, r := range all {
		lane := ms[i].Lane()
		above := r > low && (m.scope == dedup.PerShard || r > lanes[lane])
		if !above {
			earlier := m.scope == dedup.PerKey && r > low && by[lane] != n.epoch
			if earlier {
				n.seen[n.epoch][r] = true
			}
			if r > n.from[n.epoch] && !n.seen[n.epoch][r] {
				want = dedup.ErrOutOfOrder
				break
			}
			continue
		}
		fresh = append(fresh, i)
		if m.scope == dedup.PerShard {
			low = r
		} else {
			lanes[lane], by[lane] = r, n.epoch
		}
	}
	b, err := Decide(m.seal, m.done, o, ms)
	m.same(t, fmt.Sprintf("a decision about %v", all), err, want)
	if want != nil {
		return
	}
	if !slices.Equal(b.Fresh, fresh) {
		t.Fatalf("of %v are fresh %v; want %v", all, b.Fresh, fresh)
	}
	if b.Low != place(low) {
		t.Fatalf("low is %s after %v; want %d", b.Low, all, low)
	}
	o.Try(ms, b.Fresh)
	for _, i := range fresh {
		n.seen[n.epoch][all[i]] = true
	}
	if rapid.IntRange(0, 4).Draw(t, "not written") == 0 {
		return
	}
	n.low, n.lanes, n.by = low, lanes, by
	m.seal.Low = b.Low
	maps.Copy(m.done, b.Done)
	for _, i := range fresh {
		for g := range first.Generation {
			if m.dead[[2]uint64{all[i], g}] && !o.Voids() {
				t.Fatalf("there is a dead record of generation %d where %d is written in generation %d, and the owner is told that there is none", g, all[i], first.Generation)
			}
			delete(m.dead, [2]uint64{all[i], g})
			delete(n.dead, [2]uint64{all[i], g})
		}
		if bury {
			m.dead[[2]uint64{all[i], first.Generation}], n.dead[[2]uint64{all[i], first.Generation}] = true, true
		}
	}
	if rapid.IntRange(0, 4).Draw(t, "the answer is lost") > 0 {
		o.Moved(b.Low)
	}
}

func (m *machine) advancing(t *rapid.T) {
	to := rapid.Uint64Range(0, modelRecords).Draw(t, "to")
	k := m.mark(t, to)
	n := &m.naive
	next, moved, err := m.seal.Advanced(k)
	m.same(t, "Advance", err, n.refusal(k))
	if err != nil {
		return
	}
	if moved != (to > n.low) {
		t.Fatalf("Advance from %d to %d moved: %v", n.low, to, moved)
	}
	n.low = max(n.low, to)
	n.from[n.epoch] = max(n.from[n.epoch], to)
	maps.DeleteFunc(n.lanes, func(_ string, r uint64) bool { return r <= to })
	m.seal = next
	maps.DeleteFunc(m.done, func(_ string, d Done) bool { return !k.Position.Before(d.Position) })
	if o, err := m.book.Of(k, func() (Seal, error) { return m.seal, nil }); err != nil {
		t.Fatal(err)
	} else {
		o.Advanced(k.Position)
	}
}

func (m *machine) redriving(t *rapid.T) {
	r := rapid.Uint64Range(1, modelRecords).Draw(t, "record")
	k := m.mark(t, r)
	k.Redrive = true
	n := &m.naive
	at := [2]uint64{r, k.Generation}
	fresh, err := Redrive(m.seal, m.done[k.Lane()], m.dead[at], k)
	var want error
	passed := r <= n.low || m.scope == dedup.PerKey && r <= n.lanes[k.Lane()]
	if !n.dead[at] && (n.epoch == 0 || k.Generation > n.generation || k.Generation == n.generation && !passed) {
		want = dedup.ErrPending
	}
	if m.same(t, "a redrive", err, want); fresh != n.dead[at] {
		t.Fatalf("the redrive of %d of generation %d is fresh: %v; want %v", r, k.Generation, fresh, n.dead[at])
	}
	delete(m.dead, at)
	delete(n.dead, at)
}

func (m *machine) check(t *rapid.T) {
	n := &m.naive
	if m.seal.Low != place(n.low) || len(m.done) != len(n.lanes) {
		t.Fatalf("low is %s with lanes %v; want %d with %v", m.seal.Low, m.done, n.low, n.lanes)
	}
	for lane, r := range n.lanes {
		if m.done[lane].Position != place(r) {
			t.Fatalf("lane %q is done up to %s; want %d", lane, m.done[lane].Position, r)
		}
	}
}

// What a sink decides is what a shard decides that knows each record by itself, whoever calls, in whichever order.
func TestDecisionsAreThoseOfANaiveShard(t *testing.T) {
	for _, scope := range []dedup.Scope{dedup.PerShard, dedup.PerKey} {
		t.Run(scope.String(), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				m := &machine{scope: scope, done: map[string]Done{}, dead: map[[2]uint64]bool{}, naive: naive{
					lanes: map[string]uint64{}, by: map[string]uint64{}, dead: map[[2]uint64]bool{}, from: map[uint64]uint64{}, seen: map[uint64]map[uint64]bool{},
				}}
				t.Repeat(map[string]func(*rapid.T){"seal": m.sealing, "write": m.writing, "write again": m.writing, "advance": m.advancing, "redrive": m.redriving, "": m.check})
			})
		})
	}
}
