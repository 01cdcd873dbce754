package deduptest

import (
	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
)

// What broke earlier designs of exactly-once effects, each as it went.

// sinkBehindLease: the sink failed over to 90 while the lease stood at 100. Who resumes at 100 loses ten records.
func sinkBehindLease(s *scene) {
	a := s.sealed(1, 80)
	a.applies(a.records(81, 90)...)
	a.advance(at(90))
	b := s.owner("s", 2, 1)
	b.seals(at(100), at(90))
	b.applies(b.records(91, 100)...)
	s.stands(1, b.records(81, 100)...)
}

// sinkRestored: the same, with a sink that was at 100 and is at 90 now.
func sinkRestored(s *scene) {
	a := s.sealed(1, 80)
	a.applies(a.records(81, 90)...)
	a.advance(at(90))
	restore := s.db.save()
	a.applies(a.records(91, 100)...)
	a.advance(at(100))
	restore()
	s.stands(0, a.records(91, 100)...)
	b := s.owner("s", 2, 1)
	b.seals(at(100), at(90))
	b.repeats(b.records(81, 90)...)
	b.applies(b.records(91, 100)...)
	s.stands(1, b.records(81, 100)...)
}

// sealForgotten: the sink has lost the seal of its owner, with the last writes of the owner before. Neither may write until one has sealed again.
func sealForgotten(s *scene) {
	a := s.sealed(1, 0)
	a.applies(a.records(1, 2)...)
	a.advance(at(2))
	restore := s.db.save()
	a.applies(a.n(3))
	a.advance(at(3))
	b := s.owner("s", 2, 1)
	b.seals(at(3), at(3))
	b.applies(b.n(4))
	restore()
	b.writesNothing(dedup.ErrNotSealed, a.mark)
	b.seals(at(4), at(2))
	b.applies(b.records(3, 4)...)
	a.refused(dedup.ErrFenced, a.n(5))
	s.stands(1, b.records(1, 4)...)
}

// writesForgotten: the sink has lost the last writes of an owner who goes on. What it writes next would be taken for all that was before.
func writesForgotten(s *scene) {
	o := s.sealed(1, 0)
	o.applies(o.records(1, 2)...)
	o.advance(at(2))
	restore := s.db.save()
	o.applies(o.records(3, 5)...)
	if s.scope == dedup.PerKey { // with which Apply does not move low
		o.advance(at(5))
	}
	restore()
	err := o.sink.Advance(s.Context(), o.n(6))
	s.refusal("Advance of a shard whose last writes are forgotten", err, dedup.ErrNotSealed, o.mark)
	if s.scope == dedup.PerShard {
		o.writesNothing(dedup.ErrNotSealed, o.mark)
	}
	o.seals(at(5), at(2))
	o.applies(o.records(3, 6)...)
	s.stands(1, o.records(1, 6)...)
}

// resetEarlier: what was applied behind the reset's start is applied again, once, also by a successor.
func resetEarlier(s *scene) {
	a := s.sealed(4, 0)
	a.applies(a.records(1, 10)...)
	a.advance(at(8))
	b := s.owner("s", 5, 2)
	b.seals(at(4), at(4))
	b.repeats(b.records(3, 4)...)
	b.applies(b.records(5, 7)...)
	c := s.owner("s", 6, 2)
	c.seals(at(4), s.nowFrom(4, 7))
	c.repeats(c.records(5, 7)...)
	c.applies(c.records(8, 11)...)
	s.stands(1, c.records(1, 4)...)
	s.stands(2, c.records(5, 10)...)
	s.stands(1, c.n(11))
}

// nowFrom is [scene.now] of a shard that was sealed at a position.
func (s *scene) nowFrom(sealed, n uint64) checkpoint.Position {
	if s.scope == dedup.PerShard {
		return at(n)
	}
	return at(sealed)
}

// crashAboveUnfinished: 12 of key a commits while 11 of key b runs, and the worker dies. 12 is not applied again, and 11 is not lost, whatever low was told.
func crashAboveUnfinished(s *scene) {
	a := s.sealed(1, 0)
	a.applies(a.key("c", 10))
	a.advance(at(10))
	a.applies(a.key("a", 12))
	b := s.owner("s", 2, 1)
	b.seals(at(10), at(10))
	b.appliesSome([]int{0, 2}, b.key("b", 11), b.key("a", 12), b.key("a", 13))
	c := s.owner("s", 3, 1)
	c.seals(at(10), at(10))
	c.repeats(c.key("b", 11), c.key("a", 12), c.key("a", 13))
	c.advance(at(13))
	s.stands(1, a.records(10, 13)...)
}

// parentAndChild: a child begins in an epoch above its parent's and with sequences that may be below. Neither says anything of the other.
func parentAndChild(s *scene) {
	parent := s.owner("parent", 41, 1)
	parent.seal(at(0))
	parent.applies(parent.key("a", 900), parent.key("a", 901))
	parent.advance(checkpoint.End())
	for shard, epoch := range map[string]uint64{"child above": 42, "child below": 1} {
		child := s.owner(shard, epoch, 1)
		child.seals(at(0), at(0))
		child.applies(child.key("a", 5), child.key("a", 6))
		child.applies(child.key("a", 900))
	}
	parent.repeats(parent.key("a", 901))
}

// leasesRestored: the leases hand out epochs that the sink has seen. Their owner learns which it must get above, does, and goes on where the sink stands.
func leasesRestored(s *scene) {
	a := s.sealed(7, 0)
	a.applies(a.records(1, 5)...)
	a.advance(at(5))
	b := s.owner("s", 4, 1)
	_, err := s.sealWith(b, 2)
	s.refusal("Seal in an epoch of a table that was restored", err, dedup.ErrFenced, a.mark)
	b.refused(dedup.ErrFenced, b.n(3))
	b.mark.Epoch = a.mark.Epoch + 1
	b.seals(at(2), at(5))
	b.repeats(b.records(3, 5)...)
	b.applies(b.n(6))
	a.writesNothing(dedup.ErrFenced, b.mark)
	s.stands(1, b.records(1, 6)...)
}

// epochTwice: two workers have the same epoch. Only who sealed first writes, until one of them has a higher one.
func epochTwice(s *scene) {
	a := s.sealed(3, 0)
	b := s.owner("s", 3, 1)
	_, err := s.sealWith(b, 0)
	s.refusal("Seal in an epoch that another session has sealed", err, dedup.ErrFenced, a.mark)
	b.writesNothing(dedup.ErrFenced, a.mark)
	a.applies(a.n(1))
	b.mark.Epoch = 4
	b.seals(at(0), s.now(1))
	b.applies(b.n(2))
	a.writesNothing(dedup.ErrFenced, b.mark)
	s.stands(1, a.records(1, 2)...)
}

// letterThenApplied: a letter is stored and its owner dies before the burial. The next one applies the record, and the letter is void.
func letterThenApplied(s *scene) {
	a := s.sealed(1, 0)
	a.applies(a.n(1))
	letter := redrive(a.n(2))
	b := s.owner("s", 2, 1)
	b.seal(at(0))
	b.pending(letter)
	b.applies(b.n(2))
	b.repeats(letter)
	b.advance(at(2))
	a.repeats(letter)
	s.stands(1, letter)
}

// letterBeforeBurial: a letter is redriven while its record is not passed yet. Taken for void it would be lost.
func letterBeforeBurial(s *scene) {
	o := s.sealed(1, 0)
	o.applies(o.n(1))
	letter := redrive(o.n(2))
	o.pending(letter)
	o.bury(o.n(2))
	o.applies(letter)
	o.repeats(letter)
	o.repeats(o.n(2))
	o.advance(at(2))
	o.repeats(letter)
	s.stands(1, letter)
}
