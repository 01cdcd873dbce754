package deduptest

import (
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
)

func firstSeal(s *scene) {
	o := s.owner("s", 1, 1)
	o.seals(at(7), at(7))
	o.repeats(o.records(6, 7)...)
	o.applies(o.n(8))
	for shard, lease := range map[string]checkpoint.Position{"from the beginning": {}, "at its end": checkpoint.End()} {
		s.owner(shard, 3, 2).seals(lease, lease)
	}
}

func lowIsKept(s *scene) {
	a := s.sealed(1, 5)
	a.applies(a.records(6, 8)...)
	a.advance(at(8))
	s.owner("s", 2, 1).seals(at(100), at(8))
	b := s.owner("s", 5, 1)
	b.seals(at(1), at(8))
	b.repeats(b.records(6, 8)...)
	b.applies(b.n(9))
}

func sealAgain(s *scene) {
	o := s.sealed(1, 0)
	o.applies(o.records(1, 2)...)
	o.advance(at(2))
	o.seals(at(0), at(2))
	o.repeats(o.n(2))
	o.applies(o.n(3))
}

func sealLower(s *scene) {
	o := s.sealed(3, 0)
	o.applies(o.n(1))
	for _, epoch := range []uint64{1, 2} {
		_, err := s.sealWith(s.owner("s", epoch, 1), 9)
		s.refusal("Seal in an epoch below the stored one", err, dedup.ErrFenced, o.mark)
	}
	o.applies(o.n(2))
}

func sealOlder(s *scene) {
	o := s.owner("s", 3, 4)
	o.seal(at(0))
	o.applies(o.n(1))
	_, err := s.sealWith(s.owner("s", 5, 3), 9)
	s.refusal("Seal in an older generation", err, dedup.ErrGeneration, o.mark)
	o.applies(o.n(2))
}

func sealNewer(s *scene) {
	a := s.sealed(1, 0)
	a.applies(a.records(1, 5)...)
	a.advance(at(3))
	b := s.owner("s", 2, 2)
	b.seals(at(1), at(1))
	b.repeats(b.n(1))
	b.applies(b.records(2, 5)...)
	s.stands(1, b.n(1))
	s.stands(2, b.records(2, 5)...)
	a.refused(dedup.ErrFenced, a.n(6))
	c := s.owner("s", 3, 9)
	c.seals(at(20), at(20))
	c.repeats(c.n(20))
	c.applies(c.n(21))
}

func sealNewerLower(s *scene) {
	o := s.sealed(5, 0)
	_, err := s.sealWith(s.owner("s", 4, 2), 9)
	s.refusal("Seal in a lower epoch and a newer generation", err, dedup.ErrFenced, o.mark)
	o.applies(o.n(1))
}

func sealOverLanes(s *scene) {
	a := s.sealed(1, 0)
	a.applies(a.n(2)) // 1 is of another key and under way
	b := s.owner("s", 2, 1)
	b.mark.Scope = dedup.PerShard
	if !b.sink.Terms().Keeps(dedup.PerShard) {
		return
	}
	_, err := s.sealWith(b, 9)
	s.refusal("Seal with PerShard while a mark of a key is above low", err, dedup.ErrScope, a.mark)
	a.applies(a.key("other", 1))
	a.advance(at(2))
	b.seals(at(0), at(2))
	b.repeats(b.n(2))
	b.applies(b.n(3))

	c := s.owner("other", 1, 1)
	c.seal(at(0))
	c.applies(c.n(2))
	d := s.owner("other", 2, 2)
	d.mark.Scope = dedup.PerShard
	d.seals(at(1), at(1)) // of a newer generation: the marks of keys are gone
	d.applies(d.n(2))
}

// sealWith seals with the lease at a position.
func (s *scene) sealWith(o *owner, lease uint64) (checkpoint.Position, error) {
	return o.sink.Seal(s.Context(), o.n(lease))
}

func writeUnsealed(s *scene) {
	o := s.owner("s", 4, 1)
	o.writesNothing(dedup.ErrNotSealed, dedup.Mark{Shard: "s"})
	before := s.owner("s", 3, 1)
	before.seal(at(0))
	o.writesNothing(dedup.ErrNotSealed, before.mark)
	before.applies(before.n(1))
	o.seals(at(0), before.now(1))
	o.applies(o.records(7, 8)...)
}

// now is where low is when the records up to the n-th were applied, and the owner has not advanced.
func (s *scene) now(n uint64) checkpoint.Position {
	if s.scope == dedup.PerShard {
		return at(n)
	}
	return at(0)
}

func writeOtherGeneration(s *scene) {
	o := s.owner("s", 1, 2)
	o.seal(at(0))
	for _, generation := range []uint64{1, 3} {
		other := *o
		other.mark.Generation = generation
		other.writesNothing(dedup.ErrGeneration, o.mark)
	}
	o.applies(o.n(1))
	reset := *o // the shard was reset, and its owner is the same
	reset.mark.Generation = 3
	reset.seals(at(0), at(0))
	o.writesNothing(dedup.ErrGeneration, reset.mark)
	reset.applies(reset.n(1))
}

func writeFenced(s *scene) {
	a := s.sealed(1, 0)
	a.applies(a.n(1))
	b := s.sealed(2, 0)
	a.writesNothing(dedup.ErrFenced, b.mark)
	b.applies(b.records(2, 8)...)
	_, err := s.sealWith(a, 0)
	s.refusal("Seal by who was succeeded", err, dedup.ErrFenced, b.mark)
	s.stands(1, b.records(1, 8)...)
}

// writingFor is how long a successor has to seal while its predecessor is in the middle of a write. A sink whose Seal waits for the write takes the whole time.
const writingFor = 200 * time.Millisecond

func sealWhileWriting(s *scene) {
	a, b := s.sealed(1, 0), s.owner("s", 2, 1)
	m := a.n(1)
	type answer struct {
		low checkpoint.Position
		err error
	}
	sealed := make(chan answer, 1)
	var seal answer
	started, answered := false, false
	err := a.sink.Apply(s.Context(), []dedup.Mark{m}, func(e effects, _ []int) error {
		if err := e.add(s.effect(m), 1); err != nil || started {
			return err
		}
		started = true
		go func() {
			low, err := s.sealWith(b, 0)
			sealed <- answer{low, err}
		}()
		select {
		case seal = <-sealed:
			answered = true
		case <-time.After(writingFor):
		}
		return nil
	})
	if !started {
		s.Fatalf("Apply of %s has not called its function: %v", name(m), err)
	}
	if !answered {
		seal = <-sealed
	}
	if seal.err != nil {
		s.Fatalf("Seal during a write of the owner before: %v", seal.err)
	}
	if err == nil {
		if seal.low != s.now(1) {
			s.Fatalf("Seal during a write, which was done: low is %q; want %q", seal.low, s.now(1))
		}
		s.stands(1, m)
		b.repeats(b.n(1))
		return
	}
	s.wants("Apply during which another owner has sealed", err, dedup.ErrFenced)
	s.stands(0, m)
	b.applies(b.n(1))
}
