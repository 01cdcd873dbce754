package deduptest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/runnelhq/runnel/dedup"
)

func applyOnce(s *scene) {
	o := s.sealed(1, 0)
	for n := uint64(1); n <= 3; n++ {
		o.applies(o.n(n))
		o.repeats(o.n(n))
	}
	o.repeats(o.records(1, 3)...)
	next := s.sealed(2, 0)
	next.repeats(next.records(1, 3)...)
	next.applies(next.records(4, 5)...)
	next.repeats(next.records(1, 5)...)
	s.stands(1, o.records(1, 5)...)
}

func applySome(s *scene) {
	o := s.sealed(1, 0)
	o.applies(o.records(1, 2)...)
	o.appliesSome([]int{2, 3, 4}, o.records(1, 5)...)
	o.appliesSome([]int{1, 2}, o.n(5), o.n(6), o.n(8))
	next := s.sealed(2, 0)
	next.appliesSome([]int{5}, next.n(1), next.n(2), next.n(5), next.n(6), next.n(8), next.n(9))
}

func applyNothing(s *scene) {
	o := s.sealed(1, 0)
	err := o.sink.Apply(s.Context(), nil, func(effects, []int) error {
		s.Errorf("Apply without records has called its function")
		return nil
	})
	if err != nil {
		s.Fatalf("Apply without records: %v", err)
	}
	o.bury()
	o.applies(o.n(1))
}

// failing has the function add and then do something else.
func (o *owner) failing(do func(e effects) error, ms ...dedup.Mark) error {
	return o.sink.Apply(o.Context(), ms, func(e effects, fresh []int) error {
		for _, i := range fresh {
			if err := e.add(o.effect(ms[i]), 1); err != nil {
				return err
			}
		}
		return do(e)
	})
}

func functionFails(s *scene) {
	o := s.sealed(1, 0)
	o.applies(o.n(1))
	ms := o.records(1, 3)
	for _, why := range []error{errOnPurpose, fmt.Errorf("another sink: %w", dedup.ErrFenced), fmt.Errorf("another sink: %w", dedup.ErrUnavailable), context.Canceled} {
		err := o.failing(func(effects) error { return why }, ms...)
		s.wants("Apply with a function that fails", err, errRolledBack)
		if !errors.Is(err, why) {
			s.Fatalf("Apply with a function that fails with %q: %v, which does not wrap it", why, err)
		}
		s.stands(0, ms[1:]...)
	}
	o.appliesSome([]int{1, 2}, ms...)
}

func databaseRefuses(s *scene) {
	o := s.sealed(1, 0)
	ms := o.records(1, 2)
	err := o.failing(func(e effects) error { return e.refuse() }, ms...)
	s.wants("Apply of an effect that the database refuses", err, errRolledBack)
	s.stands(0, ms...)
	o.applies(ms...)
	o.bury(o.n(3))
	letter := redrive(o.n(3))
	s.wants("redrive with an effect that the database refuses", o.failing(func(e effects) error { return e.refuse() }, letter), errRolledBack)
	s.stands(0, letter)
	o.applies(letter)
}

func functionPanics(s *scene) {
	o := s.sealed(1, 0)
	ms := o.records(1, 2)
	func() {
		defer func() {
			if v := recover(); v != any(errOnPurpose) {
				s.Fatalf("Apply with a function that panics: recovered %v; want what it panicked with", v)
			}
		}()
		err := o.failing(func(effects) error { panic(errOnPurpose) }, ms...)
		s.Fatalf("Apply with a function that panics returned: %v", err)
	}()
	s.stands(0, ms...)
	o.applies(ms...)
	next := s.sealed(2, 0)
	next.repeats(next.records(1, 2)...)
	next.applies(next.n(3))
}

func outOfOrder(s *scene) {
	o := s.sealed(1, 0)
	o.applies(o.records(1, 3)...)
	o.applies(o.n(7))
	o.refused(dedup.ErrOutOfOrder, o.n(5))
	o.refused(dedup.ErrOutOfOrder, o.n(3), o.n(5), o.n(9))
	o.repeats(o.n(3), o.n(7))
	o.applies(o.n(9))
	o.refused(dedup.ErrOutOfOrder, o.n(8))
	o.advance(at(9))
	o.repeats(o.n(5)) // who advances says that everything below is done
}

func rolledBackOutOfOrder(s *scene) {
	o := s.sealed(1, 0)
	err := o.failing(func(effects) error { return errOnPurpose }, o.n(5))
	s.wants("Apply with a function that fails", err, errRolledBack)
	o.applies(o.n(7))
	o.refused(dedup.ErrOutOfOrder, o.n(5))
}

func refusedOutOfOrder(s *scene) {
	o := s.sealed(1, 0)
	err := o.failing(func(e effects) error { return e.refuse() }, o.n(5))
	s.wants("Apply that the database refuses", err, errRolledBack)
	o.applies(o.n(7))
	o.refused(dedup.ErrOutOfOrder, o.n(5))
}

func manyRecords(s *scene) {
	o := s.sealed(1, 0)
	var ms []dedup.Mark
	for n := range uint64(s.batch) {
		ms = append(ms, o.key(fmt.Sprintf("key %d", n), n+1))
	}
	fresh, err := o.apply(s.Context(), ms...)
	if err != nil || len(fresh) != len(ms) || !slices.IsSorted(fresh) {
		s.Fatalf("Apply of %d records: %d are fresh, rising: %v, error: %v", len(ms), len(fresh), slices.IsSorted(fresh), err)
	}
	s.stands(1, ms[0], ms[len(ms)/2], ms[len(ms)-1])
	fresh, err = o.apply(s.Context(), ms...)
	if err != nil || len(fresh) > 0 {
		s.Fatalf("Apply of %d records again: fresh are %s, error: %v", len(ms), some(fresh), err)
	}
	next := s.sealed(2, 0)
	for i := range ms {
		ms[i].Epoch, ms[i].Session = next.mark.Epoch, next.mark.Session
	}
	fresh, err = next.apply(s.Context(), ms...)
	if err != nil || len(fresh) > 0 {
		s.Fatalf("Apply of %d records by the next owner: fresh are %s, error: %v", len(ms), some(fresh), err)
	}
	next.advance(at(uint64(s.batch)))
	next.applies(next.n(uint64(s.batch) + 1))
}

func endedContext(s *scene) {
	o := s.sealed(1, 0)
	o.applies(o.n(1))
	o.bury(o.n(2))
	ctx := s.ended()
	_, err := o.apply(ctx, o.n(3))
	s.wants("Apply with an ended context", err, dedup.ErrUnavailable)
	_, err = o.apply(ctx, redrive(o.n(2)))
	s.wants("a redrive with an ended context", err, dedup.ErrUnavailable)
	s.wants("Bury with an ended context", o.sink.Bury(ctx, o.records(3, 4)), dedup.ErrUnavailable)
	if s.scope != dedup.PerID { // with which they do nothing
		s.wants("Advance with an ended context", o.sink.Advance(ctx, o.n(9)), dedup.ErrUnavailable)
		next := s.owner("s", 2, 1)
		_, err = next.sink.Seal(ctx, next.n(9))
		s.wants("Seal with an ended context", err, dedup.ErrUnavailable)
	}
	s.stands(0, o.records(2, 3)...)
	o.applies(o.records(3, 4)...)
	o.applies(redrive(o.n(2)))
}

func contextEnds(s *scene) {
	o := s.sealed(1, 0)
	for n := uint64(1); n <= 5; n++ {
		ctx, cancel := context.WithCancel(s.Context())
		m := o.n(n)
		err := o.sink.Apply(ctx, []dedup.Mark{m}, func(e effects, _ []int) error {
			defer cancel()
			return e.add(s.effect(m), 1)
		})
		cancel()
		s.told("Apply whose context ends in its function", err, m)
		o.settles("Apply after the context of the first had ended", m)
	}
}
