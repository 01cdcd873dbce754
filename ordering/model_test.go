package ordering

import (
	"flag"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
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

// machine does the same to Lanes and to the naive model, and compares.
type machine struct {
	lanes Lanes
	naive naive
	calls int
	now   int64
	taken map[string]uint64 // the highest ordinal of a lane that was ever taken
	turns map[string]int    // within how many Takes a lane that is ready must be served
}

func (m *machine) add(t *rapid.T) {
	key := rapid.SampledFrom([]string{"", "a", "b", "c", "d", "e"}).Draw(t, "key")
	for range rapid.IntRange(1, 4).Draw(t, "in a row") {
		m.ordinal(t, m.lanes.Add(key))
		m.naive.add(&record{lane: "key " + key, key: key})
	}
}

func (m *machine) addRun(t *rapid.T) {
	key := rapid.SampledFrom([]string{"", "a", "b", "c", "d", "e"}).Draw(t, "key")
	n := rapid.IntRange(1, 70).Draw(t, "n")
	m.ordinal(t, m.lanes.AddRun(key, n))
	for range n {
		m.naive.add(&record{lane: "key " + key, key: key})
	}
}

func (m *machine) addAlone(t *rapid.T) {
	o := m.lanes.AddAlone()
	m.ordinal(t, o)
	m.naive.add(&record{lane: alone(o)})
}

func (m *machine) pass(t *rapid.T) {
	m.ordinal(t, m.lanes.Pass())
	m.naive.add(&record{state: done})
}

func (m *machine) ordinal(t *rapid.T, o uint64) {
	if o != uint64(len(m.naive.records)) {
		t.Fatalf("ordinal %d, want %d", o, len(m.naive.records))
	}
}

func (m *machine) take(t *rapid.T) {
	n := rapid.IntRange(0, 6).Draw(t, "n")
	var asked []uint64
	var more func(uint64) bool
	if fits := rapid.IntRange(-1, 5).Draw(t, "fit"); fits >= 0 {
		more = func(o uint64) bool { asked = append(asked, o); return len(asked) <= fits }
	}
	before := []uint64{1 << 60} // stays where it is
	batch := m.lanes.Take(before, n, more)
	if batch[0] != 1<<60 {
		t.Fatal("what was in the slice is changed")
	}
	batch = batch[1:]
	m.goTogether(t, batch, n)
	m.inTurn(t, batch, n)

	m.calls++
	got := asked
	asked = nil
	if want := m.naive.take(n, m.calls, more); !slices.Equal(batch, want) {
		t.Fatalf("taken: %v, want %v", batch, want)
	}
	if !slices.Equal(got, asked) {
		t.Fatalf("more was asked of %v, want %v", got, asked)
	}
}

// goTogether says of a batch, without the model, what must hold.
func (m *machine) goTogether(t *rapid.T, batch []uint64, n int) {
	if len(batch) > n || !slices.IsSorted(batch) {
		t.Fatalf("taken: %v, want up to %d and rising", batch, n)
	}
	for _, o := range batch {
		r := m.naive.records[o]
		if r.state != waiting || m.naive.held(r.lane) {
			t.Fatalf("record %d is taken, and %v are out", o, m.naive.out())
		}
		if failed := r.limit > 0; failed != (m.naive.records[batch[0]].limit > 0) {
			t.Fatalf("%v holds failed records and fresh ones", batch)
		} else if failed && len(batch) > r.limit {
			t.Fatalf("%d of a call may hold record %d, and %d do", r.limit, o, len(batch))
		}
		if last, before := m.taken[r.lane]; before && o < last && r.call == 0 {
			t.Fatalf("record %d is first taken after %d of its lane", o, last)
		}
		m.taken[r.lane] = max(m.taken[r.lane], o)
	}
}

// inTurn wants a lane served, after it became ready, within as many Takes as lanes were ready then.
func (m *machine) inTurn(t *rapid.T, batch []uint64, n int) {
	if n == 0 {
		return
	}
	for _, lane := range m.naive.line {
		served := slices.ContainsFunc(batch, func(o uint64) bool { return m.naive.records[o].lane == lane })
		if m.turns[lane] <= 1 && !served {
			t.Fatalf("lane %q waits beyond its turn", lane)
		}
		m.turns[lane]--
	}
}

// some draws one of the records that are out.
func (m *machine) some(t *rapid.T) uint64 {
	out := m.naive.out()
	if len(out) == 0 {
		t.Skip("nothing is out")
	}
	return rapid.SampledFrom(out).Draw(t, "ordinal")
}

func (m *machine) done(t *rapid.T) {
	o := m.some(t)
	m.lanes.Done(o)
	m.naive.settle(o, done)
}

func (m *machine) back(t *rapid.T) {
	o, until := m.some(t), int64(0)
	if rapid.Bool().Draw(t, "later") {
		until = m.now + rapid.Int64Range(-2, 8).Draw(t, "wait")
	}
	limit := rapid.IntRange(-1, 4).Draw(t, "limit")
	m.lanes.Back(o, until, limit)
	m.naive.back(o, until, limit)
}

func (m *machine) giveBack(t *rapid.T) {
	o := m.some(t)
	m.lanes.Return(o)
	m.naive.settle(o, waiting)
}

func (m *machine) wake(t *rapid.T) {
	m.now += rapid.Int64Range(0, 6).Draw(t, "time")
	m.wakeAt(t, m.now)
}

// wakeAt follows the order in which Lanes put those behind the others that waited for the same instant.
func (m *machine) wakeAt(t *rapid.T, now int64) {
	awake, line := m.naive.wake(now), len(m.naive.line)
	m.lanes.Wake(now)
	got := m.line()
	if len(got) != line+len(awake) {
		t.Fatalf("ready: %q, want %q and %q", got, m.naive.line, awake)
	}
	for i, lane := range got[line:] {
		if m.naive.until[lane] != m.naive.until[awake[i]] || !slices.Contains(awake, lane) {
			t.Fatalf("woken in the order %q, want %q", got[line:], awake)
		}
	}
	for _, lane := range awake {
		delete(m.naive.until, lane)
	}
	m.naive.line = append(m.naive.line, got[line:]...)
}

// line is the lanes that are ready, by the names that they have in the model.
func (m *machine) line() (lanes []string) {
	for i := m.lanes.first; i != 0; i = m.lanes.lanes[i].next {
		lanes = append(lanes, m.naive.records[m.lanes.lanes[i].head].lane)
	}
	return lanes
}

func (m *machine) shrink(*rapid.T) { m.lanes.Shrink() }

// check compares all that Lanes answer.
func (m *machine) check(t *rapid.T) {
	l, n := &m.lanes, &m.naive
	for i, lane := range n.line {
		if _, counted := m.turns[lane]; !counted {
			m.turns[lane] = i + 1
		}
	}
	for lane := range m.turns {
		if !slices.Contains(n.line, lane) {
			delete(m.turns, lane)
		}
	}
	if got := m.line(); !slices.Equal(got, n.line) {
		t.Fatalf("ready: %q, want %q", got, n.line)
	}
	if l.Watermark() != n.watermark() {
		t.Fatalf("watermark %d, want %d", l.Watermark(), n.watermark())
	}
	if got := slices.Collect(l.Above()); !slices.Equal(got, n.above()) {
		t.Fatalf("done above the watermark: %v, want %v", got, n.above())
	}
	if got, want := l.Len(), len(n.records)-int(n.watermark()); got != want {
		t.Fatalf("length %d, want %d", got, want)
	}
	if got, want := l.Unfinished(), len(n.unfinished("")); got != want {
		t.Fatalf("%d unfinished, want %d", got, want)
	}
	if l.Ready() != n.ready() {
		t.Fatalf("%d ready, want %d", l.Ready(), n.ready())
	}
	until, waits := l.Next()
	if wantUntil, wantWaits := n.next(); until != wantUntil || waits != wantWaits {
		t.Fatalf("waits until %d %v, want %d %v", until, waits, wantUntil, wantWaits)
	}
	for _, o := range n.unfinished("") {
		if got, want := l.Key(o), n.records[o].key; got != want {
			t.Fatalf("key of %d: %q, want %q", o, got, want)
		}
	}
}

// drain handles all that there is, and wants nothing left of it.
func (m *machine) drain(t *rapid.T) {
	for m.lanes.Unfinished() > 0 {
		for _, o := range m.naive.out() {
			m.lanes.Done(o)
			m.naive.settle(o, done)
		}
		if until, waits := m.lanes.Next(); waits && m.lanes.Ready() == 0 {
			m.now = until
			m.wakeAt(t, until)
		}
		m.check(t)
		m.calls++
		if got, want := m.lanes.Take(nil, 100, nil), m.naive.take(100, m.calls, nil); !slices.Equal(got, want) {
			t.Fatalf("taken: %v, want %v", got, want)
		}
	}
	m.check(t)
	l := &m.lanes
	if used := max(1, len(l.lanes)) - 1 - len(l.free); used != 0 || len(l.byKey) != 0 || len(l.late) != 0 || l.first != 0 || l.last != 0 {
		t.Fatalf("all is done; left are %d lanes, keys %v, waiting %v, ready from %d to %d", used, l.byKey, l.late, l.first, l.last)
	}
	l.Shrink()
	if want := (Lanes{low: l.low, high: l.low}); !reflect.DeepEqual(*l, want) {
		t.Fatalf("empty and shrunk: %+v", *l)
	}
}

func TestLanesDoWhatTheNaiveModelDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{naive: naive{until: map[string]int64{}}, taken: map[string]uint64{}, turns: map[string]int{}}
		t.Repeat(map[string]func(*rapid.T){
			"":          m.check,
			"add":       m.add,
			"add more":  m.add,
			"add run":   m.addRun,
			"add alone": m.addAlone,
			"pass":      m.pass,
			"take":      m.take,
			"take more": m.take,
			"done":      m.done,
			"done more": m.done,
			"back":      m.back,
			"return":    m.giveBack,
			"wake":      m.wake,
			"shrink":    m.shrink,
		})
		m.drain(t)
	})
}
