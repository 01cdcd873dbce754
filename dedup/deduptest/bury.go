package deduptest

import (
	"fmt"

	"github.com/runnelhq/runnel/dedup"
)

func buryPasses(s *scene) {
	o := s.sealed(1, 0)
	o.applies(o.n(1))
	o.bury(o.records(2, 3)...)
	o.repeats(o.records(1, 3)...)
	o.bury(o.n(2), o.n(3), o.n(4)) // again, and one more
	o.appliesSome([]int{3}, o.n(2), o.n(3), o.n(4), o.n(5))
	next := s.owner("s", 2, 1)
	next.seal(at(0))
	next.repeats(next.records(1, 5)...)
	next.bury(next.records(2, 3)...)
	s.stands(0, o.records(2, 4)...)
	next.applies(next.n(6))
	for n := uint64(2); n <= 4; n++ {
		next.applies(redrive(next.n(n)))
	}
}

func buryApplied(s *scene) {
	o := s.sealed(1, 0)
	o.applies(o.records(1, 2)...)
	o.bury(o.records(1, 3)...)
	next := s.sealed(2, 0)
	next.bury(next.records(1, 3)...)
	next.repeats(redrive(next.n(1)))
	next.repeats(redrive(next.n(2)))
	next.applies(redrive(next.n(3)))
	s.stands(1, o.records(1, 3)...)
}

func buryOutOfOrder(s *scene) {
	o := s.sealed(1, 0)
	o.applies(o.n(7))
	s.wants("Bury of a record behind one that was applied", o.sink.Bury(s.Context(), o.records(5, 9)), dedup.ErrOutOfOrder)
	o.repeats(redrive(o.n(5))) // it is not noted
	_, err := o.apply(s.Context(), redrive(o.n(9)))
	s.wants("a redrive of what was to be buried with a record that was out of order", err, dedup.ErrPending)
	o.applies(o.n(8))
}

func buryMany(s *scene) {
	o := s.sealed(1, 0)
	var ms []dedup.Mark
	for n := range uint64(s.batch) {
		ms = append(ms, o.key(fmt.Sprintf("key %d", n), n+1))
	}
	o.bury(ms...)
	o.bury(ms...)
	o.advance(at(uint64(s.batch)))
	o.applies(o.n(uint64(s.batch) + 1))
	for _, i := range []int{0, len(ms) / 2, len(ms) - 1} {
		o.applies(redrive(ms[i]))
		o.repeats(redrive(ms[i]))
	}
}
