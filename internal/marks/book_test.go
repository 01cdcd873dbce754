package marks

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
)

func sealOf(m dedup.Mark) Seal {
	return Seal{Epoch: m.Epoch, Generation: m.Generation, Session: m.Session, Low: checkpoint.Offset(5)}
}

// unread is for what is known already.
func unread(t *testing.T) func() (Seal, error) {
	return func() (Seal, error) {
		t.Error("the seal was read")
		return Seal{}, nil
	}
}

func TestWhatIsKnownOfAShardIsNotReadAgain(t *testing.T) {
	var b Book
	m := owned(dedup.PerShard, 3, 6)
	b.Sealed(m, sealOf(m), false)
	o, err := b.Of(m, unread(t))
	if err != nil || o.Seal() != sealOf(m) || o.Voids() {
		t.Fatalf("after Seal: %+v, %v", o, err)
	}
	for _, change := range []func(*dedup.Mark){
		func(m *dedup.Mark) { m.App += "2" }, func(m *dedup.Mark) { m.Stream += "2" }, func(m *dedup.Mark) { m.Shard += "2" },
		func(m *dedup.Mark) { m.Epoch++ }, func(m *dedup.Mark) { m.Session += "2" }, func(m *dedup.Mark) { m.Generation++ },
	} {
		other, read := m, 0
		change(&other)
		o, err := b.Of(other, func() (Seal, error) { read++; return sealOf(other), nil })
		if err != nil || read != 1 || !o.Voids() {
			t.Fatalf("of %+v, which nobody sealed here: read %d times, %v", other, read, err)
		}
		if _, err := b.Of(other, unread(t)); err != nil {
			t.Fatal(err)
		}
		b.Sealed(m, sealOf(m), false)
	}
}

func TestWhatIsStoredMustAdmitWhoIsNotKnown(t *testing.T) {
	var b Book
	m := owned(dedup.PerShard, 3, 6)
	down := errors.New("down")
	if _, err := b.Of(m, func() (Seal, error) { return Seal{}, down }); !errors.Is(err, down) {
		t.Errorf("with a sink that cannot be read: %v", err)
	}
	for want, s := range map[error]Seal{
		dedup.ErrNotSealed: {}, dedup.ErrFenced: {Epoch: 4, Generation: 1, Session: "session"}, dedup.ErrGeneration: {Epoch: 3, Generation: 2, Session: "session"},
	} {
		if o, err := b.Of(m, func() (Seal, error) { return s, nil }); !errors.Is(err, want) || o != nil {
			t.Errorf("with %+v stored: %v, want %v", s, err, want)
		}
	}
}

// The answer to a write is lost, its owner seals again, and asks for the record again.
func TestWhoSealsAgainRemembersWhatItTried(t *testing.T) {
	var b Book
	m := owned(dedup.PerShard, 3, 9)
	b.Sealed(m, sealOf(m), false)
	o, _ := b.Of(m, unread(t))
	o.Try([]dedup.Mark{m}, []int{0})
	after := sealOf(m)
	after.Low = m.Position
	b.Sealed(m, after, false)
	if o, err := b.Of(m, unread(t)); err != nil || o.Seal() != after || !o.repeats(m) || o.repeats(owned(dedup.PerShard, 3, 8)) {
		t.Errorf("after Seal again: %+v, %v", o, err)
	}
	next := m
	next.Epoch++
	b.Sealed(next, Seal{Epoch: 4, Generation: 1, Session: "session"}, true)
	if o, err := b.Of(next, unread(t)); err != nil || o.repeats(next) || !o.Voids() {
		t.Errorf("after Seal in another epoch: %+v, %v", o, err)
	}
}

// repeated are the lowest and the highest of the records up to the n-th that an owner takes for repeats, and how many they are.
func repeated(o *Owner, n uint64) (lowest, highest uint64, all int) {
	for i := n; i > 0; i-- {
		if o.repeats(owned(dedup.PerShard, 1, i)) {
			lowest, highest, all = i, max(highest, i), all+1
		}
	}
	return lowest, highest, all
}

func try(o *Owner, from, to uint64) {
	var ms []dedup.Mark
	var fresh []int
	for n := from; n <= to; n++ {
		fresh = append(fresh, len(ms))
		ms = append(ms, owned(dedup.PerShard, 1, n))
	}
	o.Try(ms, fresh)
}

func TestMemoryIsBounded(t *testing.T) {
	const most = remembered + remembered/4
	o := newOwner(Seal{Epoch: 1}, false)
	for n := uint64(0); n < 2*remembered; n += 64 {
		try(o, n+1, n+64)
		if len(o.order) > most || len(o.tried) != len(o.order) {
			t.Fatalf("%d and %d are remembered; want %d at most", len(o.tried), len(o.order), most)
		}
	}
	if lowest, highest, all := repeated(o, 2*remembered+64); all < remembered || highest != 2*remembered || lowest != highest-uint64(all)+1 {
		t.Errorf("%d are remembered, from %d to %d; want the last %d or more", all, lowest, highest, remembered)
	}
	try(o, 1, 2*remembered) // one call, which may come again
	if _, _, all := repeated(o, 2*remembered); all != 2*remembered {
		t.Errorf("%d of a call of %d are remembered", all, 2*remembered)
	}
	o = newOwner(Seal{Epoch: 1}, false)
	last := owned(dedup.PerKey, 1, 0)
	for n := range uint64(2 * remembered) {
		last.Position = checkpoint.Offset(n + 1)
		o.seen(last)
	}
	if len(o.order) > most || len(o.order) < remembered || len(o.tried) != len(o.order) || !o.repeats(last) {
		t.Errorf("%d and %d are remembered of what an earlier owner did; want %d at most", len(o.tried), len(o.order), most)
	}
	o.Advanced(last.Position)
	if len(o.tried) != 0 || len(o.order) != 0 || !o.repeats(owned(dedup.PerShard, 1, 3)) {
		t.Errorf("%d are remembered below low", len(o.tried))
	}
}

func TestPositionsThatAreTriedTwiceAreRememberedOnce(t *testing.T) {
	o := newOwner(Seal{Epoch: 1}, false)
	for range 3 {
		try(o, 1, 4)
	}
	if len(o.order) != 4 || len(o.tried) != 4 {
		t.Errorf("%d and %d; want 4", len(o.order), len(o.tried))
	}
	o.Advanced(checkpoint.Offset(3))
	if !slices.Equal(o.order, []checkpoint.Position{checkpoint.Offset(4)}) || o.Seal().Low != checkpoint.Offset(3) {
		t.Errorf("after Advance to 3: %v, low %s", o.order, o.Seal().Low)
	}
	o.Moved(checkpoint.Offset(2))
	if o.Seal().Low != checkpoint.Offset(3) {
		t.Errorf("low moved back to %s", o.Seal().Low)
	}
}

func TestBooksAreReadAndWrittenAtOnce(t *testing.T) {
	var b Book
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for n := range uint64(100) {
				m := owned(dedup.PerKey, 1+n/10, n)
				b.Sealed(m, sealOf(m), false)
				o, err := b.Of(m, func() (Seal, error) { return sealOf(m), nil })
				if err != nil {
					t.Error(err)
					return
				}
				o.Try([]dedup.Mark{m}, []int{0})
				if _, err := Decide(sealOf(m), nil, o, []dedup.Mark{m}); err != nil {
					t.Error(err)
				}
				o.Moved(m.Position)
				o.Advanced(m.Position)
			}
		})
	}
	wg.Wait()
}
