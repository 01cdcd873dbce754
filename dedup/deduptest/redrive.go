package deduptest

import (
	"sync"

	"github.com/runnelhq/runnel/dedup"
)

func redriveOnce(s *scene) {
	o := s.sealed(1, 0)
	o.bury(o.records(1, 3)...)
	o.advance(at(3))
	o.applies(redrive(o.n(2)))
	o.repeats(redrive(o.n(2)))
	next := s.sealed(2, 0) // a redrive is anybody's, and needs no seal
	next.repeats(redrive(o.n(2)), next.n(1))
	o.applies(redrive(o.n(1)))
	next.repeats(redrive(o.n(1)))
	other := s.owner("s", 1, 1)
	other.applies(redrive(other.n(3)))
	o.repeats(redrive(o.n(3)))
	next.repeats(next.records(1, 3)...)
	next.applies(next.n(4))
	s.stands(1, o.records(1, 4)...)
}

func redriveFails(s *scene) {
	o := s.sealed(1, 0)
	o.bury(o.n(1))
	letter := redrive(o.n(1))
	for range 2 {
		s.wants("a redrive that fails", o.failing(func(effects) error { return errOnPurpose }, letter), errRolledBack)
		s.stands(0, letter)
	}
	o.applies(letter)
	o.repeats(letter)
}

func redriveRace(s *scene) {
	const callers, letters = 4, 5
	o := s.sealed(1, 0)
	o.bury(o.records(1, letters)...)
	for n := uint64(1); n <= letters; n++ {
		var wg sync.WaitGroup
		var fresh [callers]int
		for i := range callers {
			other := s.owner("s", 1, 1)
			wg.Go(func() {
				got, err := other.apply(s.Context(), redrive(other.n(n)))
				if err != nil {
					s.Errorf("a redrive beside others of the same record: %v", err)
				}
				fresh[i] = len(got)
			})
		}
		wg.Wait()
		s.stands(1, o.n(n))
		o.repeats(redrive(o.n(n)))
	}
}

// pending wants a redrive to be refused because its record was not passed.
func (o *owner) pending(m dedup.Mark) {
	o.Helper()
	o.refused(dedup.ErrPending, redrive(m))
}

func redrivePending(s *scene) {
	o := s.owner("s", 1, 1)
	o.pending(o.n(1))
	o.seal(at(0))
	o.pending(o.n(1))
	o.applies(o.n(1))
	o.pending(o.n(2))
	o.bury(o.n(2))
	o.applies(redrive(o.n(2)))
	o.repeats(redrive(o.n(1)))
	later := *o
	later.mark.Generation = 2
	later.pending(later.n(1)) // of a generation that the sink has not heard of
	later.pending(later.n(2))
	o.pending(o.n(3))
	if s.scope == dedup.PerID {
		return
	}
	o.advance(at(3)) // passed over without a note: by a filter, or as it was by who applied it
	o.repeats(redrive(o.n(3)))
	s.stands(0, o.n(3))
}

func redriveOlder(s *scene) {
	a := s.sealed(1, 0)
	a.applies(a.n(1))
	a.bury(a.records(2, 5)...)
	a.advance(at(5))
	b := s.owner("s", 2, 2)
	b.seals(at(0), at(0))
	a.applies(redrive(a.n(2))) // not yet applied again
	b.applies(b.records(1, 3)...)
	b.bury(b.n(4))
	a.repeats(redrive(a.n(2)))
	a.repeats(redrive(a.n(3)))
	a.repeats(redrive(a.n(4)))
	b.applies(redrive(b.n(4)))
	b.repeats(redrive(b.n(4)))
	a.repeats(redrive(a.n(1)))
	a.applies(redrive(a.n(5)))
	s.stands(2, b.records(1, 2)...)
	s.stands(1, b.records(3, 5)...)
}

func redriveBelowReset(s *scene) {
	a := s.sealed(1, 0)
	a.bury(a.records(1, 4)...)
	a.advance(at(4))
	b := s.owner("s", 2, 2)
	b.seals(at(2), at(2))
	b.applies(b.records(3, 5)...)
	b.advance(at(5))
	next := s.owner("s", 3, 2)
	next.seals(at(0), at(5))
	a.applies(redrive(a.n(1)))
	a.applies(redrive(a.n(2))) // the reset begins behind it
	a.repeats(redrive(a.n(3)))
	a.repeats(redrive(a.n(4)))
	s.stands(1, a.records(1, 4)...)
}

func idsNeedNoFence(s *scene) {
	o := s.owner("s", 5, 1)
	o.applies(o.n(7))
	o.applies(o.n(3), o.n(9))
	earlier := s.owner("s", 1, 1)
	earlier.repeats(earlier.n(3), earlier.n(7), earlier.n(9))
	earlier.applies(earlier.n(5))
	o.seals(at(4), at(4))
	o.advance(at(100))
	o.applies(o.n(50))
	reset := s.owner("s", 6, 2)
	reset.applies(reset.n(7))
	earlier.repeats(earlier.n(7))
	reset.repeats(reset.n(7))
	o.bury(o.n(7), o.n(60))
	o.applies(redrive(o.n(60)))
	s.stands(2, o.n(7))
}
