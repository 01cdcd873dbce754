package deduptest

import (
	"context"
	"errors"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/internal/backoff"
)

// losesAnswer plays a story with the answers to writes lost.
func losesAnswer(story func(*scene, func(then func()))) func(*scene) {
	return func(s *scene) { story(s, s.db.loseAnswer) }
}

// losesWrite plays it with the writes lost.
func losesWrite(story func(*scene, func(then func()))) func(*scene) {
	return func(s *scene) { story(s, s.db.loseWrite) }
}

// interrupted wants a call to have succeeded, or to have told that nothing was done, or that it is not known. It tells whether it says that nothing was.
func (s *scene) interrupted(what string, err error) (nothing bool) {
	s.Helper()
	k := kind(err)
	nothing = errors.Is(k, dedup.ErrUnavailable)
	if k != nil && !nothing && !errors.Is(k, dedup.ErrUnsettled) {
		s.Fatalf("%s: %v; want success, or an error that wraps dedup.ErrUnavailable or dedup.ErrUnsettled alone", what, err)
	}
	return nothing
}

// found wants an Apply of which an answer or a write was lost to have found out what became of it.
func (s *scene) found(what string, err error, ms ...dedup.Mark) {
	s.Helper()
	if s.told(what, err, ms...); errors.Is(err, dedup.ErrUnsettled) {
		s.Fatalf("%s, with a database that answers again: %v; want it settled", what, err)
	}
}

// told wants an Apply that was interrupted to have told what became of its effects, which stand once if they do.
func (s *scene) told(what string, err error, ms ...dedup.Mark) {
	s.Helper()
	switch nothing := s.interrupted(what, err); {
	case err == nil:
		s.stands(1, ms...)
	case nothing:
		s.stands(0, ms...)
	}
}

// answered makes a call that was interrupted again, until it has succeeded.
func (s *scene) answered(what string, call func() error) {
	s.Helper()
	for n := range 100 {
		err := call()
		if err == nil {
			return
		}
		s.interrupted(what+", again", err)
		_ = backoff.Wait(s.Context(), time.Duration(n)*time.Millisecond) // a connection may have to be made
	}
	s.Fatalf("%s: not answered after 100 calls", what)
}

// settles has an Apply that was interrupted done.
func (o *owner) settles(what string, ms ...dedup.Mark) {
	o.Helper()
	o.answered(what, func() error {
		_, err := o.apply(o.Context(), ms...)
		return err
	})
	o.stands(1, ms...)
	o.repeats(ms...)
}

func loseApply(s *scene, lose func(func())) {
	o := s.sealed(1, 0)
	for _, ms := range [][]dedup.Mark{o.records(1, 1), o.records(2, 4), o.records(3, 6)} {
		lose(nil)
		_, err := o.apply(s.Context(), ms...)
		s.found("Apply that is lost on the way", err, ms[len(ms)-1])
		o.settles("Apply that was lost on the way", ms...)
	}
	next := s.sealed(2, 0)
	next.repeats(next.records(1, 6)...)
	next.applies(next.n(7))
}

func loseBurial(s *scene, lose func(func())) {
	o := s.sealed(1, 0)
	o.applies(o.n(1))
	lose(nil)
	ms := o.records(1, 3)
	bury := func() error { return o.sink.Bury(s.Context(), ms) }
	err := bury()
	if s.interrupted("Bury that is lost on the way", err) {
		o.pending(o.n(2))
	}
	if err != nil {
		s.answered("Bury that was lost on the way", bury)
	}
	o.repeats(ms...)
	o.repeats(redrive(o.n(1)))
	o.applies(redrive(o.n(2)))
	o.applies(redrive(o.n(3)))
}

func loseRedrive(s *scene, lose func(func())) {
	o := s.sealed(1, 0)
	o.bury(o.records(1, 3)...)
	for n := uint64(1); n <= 3; n++ {
		letter := redrive(o.n(n))
		lose(nil)
		_, err := o.apply(s.Context(), letter)
		s.found("a redrive that is lost on the way", err, letter)
		o.settles("a redrive that was lost on the way", letter)
	}
}

func loseSeal(s *scene, lose func(func())) {
	a := s.sealed(1, 0)
	a.applies(a.n(1))
	a.advance(at(1))
	b := s.owner("s", 2, 1)
	var low checkpoint.Position
	seal := func() (err error) {
		low, err = s.sealWith(b, 0)
		return err
	}
	lose(nil)
	err := seal()
	if s.interrupted("Seal that is lost on the way", err) {
		a.applies(a.n(2))
		a.advance(at(2))
	}
	if err != nil {
		s.answered("Seal that was lost on the way", seal)
	}
	a.writesNothing(dedup.ErrFenced, b.mark)
	b.appliesSome([]int{1}, b.of(low), b.n(9))
}

func loseAdvance(s *scene, lose func(func())) {
	o := s.sealed(1, 0)
	o.applies(o.records(1, 3)...)
	lose(nil)
	advance := func() error { return o.sink.Advance(s.Context(), o.n(5)) }
	err := advance()
	if s.interrupted("Advance that is lost on the way", err); err != nil {
		s.answered("Advance that was lost on the way", advance)
	}
	o.repeats(o.records(2, 5)...)
	next := s.owner("s", 2, 1)
	next.seals(at(0), at(5))
	next.applies(next.n(6))
}

// inDoubt: the answer to a commit is lost, and a successor has sealed before its owner can ask.
func inDoubt(s *scene, lose func(func())) {
	a, b := s.sealed(1, 0), s.owner("s", 2, 1)
	type answer struct {
		low checkpoint.Position
		err error
	}
	sealed := make(chan answer, 1)
	lose(func() {
		low, err := s.sealWith(b, 0)
		sealed <- answer{low, err}
	})
	m := a.n(1)
	_, err := a.apply(s.Context(), m)
	var seal answer
	select {
	case seal = <-sealed:
	default:
		s.Fatalf("Apply of a fresh record has returned %v, and the database was not written to", err)
	}
	if seal.err != nil {
		s.Fatalf("Seal while the write of the owner before is in doubt: %v", seal.err)
	}
	stands := s.totals([]dedup.Mark{m})[0]
	if !errors.Is(kind(err), dedup.ErrFenced) {
		s.found("Apply that is lost on the way, with another having sealed before it is settled", err, m)
	}
	if want := s.now(uint64(stands)); stands > 1 || seal.low != want {
		s.Fatalf("the effect stands %d times, and the successor was told that low is %q; want %q", stands, seal.low, want)
	}
	a.refused(dedup.ErrFenced, a.n(2))
	if stands == 1 {
		b.repeats(b.n(1))
	} else {
		b.applies(b.n(1))
	}
	b.applies(b.n(2))
}

// patience is how long a call may try to reach a database that is down.
const patience = 2 * time.Second

func downRefuses(s *scene) {
	o := s.sealed(1, 0)
	o.applies(o.n(1))
	o.bury(o.n(2))
	next := s.owner("s", 2, 1)
	apply := func(ms ...dedup.Mark) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			_, err := o.apply(ctx, ms...)
			return err
		}
	}
	calls := []struct {
		what string
		call func(ctx context.Context) error
	}{
		{"Apply", apply(o.records(3, 4)...)},
		{"a redrive", apply(redrive(o.n(2)))},
		{"Bury", func(ctx context.Context) error { return o.sink.Bury(ctx, o.records(5, 5)) }},
		{"Advance", func(ctx context.Context) error { return o.sink.Advance(ctx, o.n(5)) }},
		{"Seal", func(ctx context.Context) error {
			_, err := next.sink.Seal(ctx, next.n(0))
			return err
		}},
	}
	if s.scope == dedup.PerID { // whose Advance and Seal do nothing
		calls = calls[:3]
	}
	s.db.down(true)
	for _, c := range calls {
		ctx, cancel := context.WithTimeout(s.Context(), patience)
		err := c.call(ctx)
		cancel()
		if err == nil {
			s.db.down(false)
			s.Fatalf("%s with a database that is down succeeded", c.what)
		}
		s.interrupted(c.what+" with a database that is down", err)
	}
	s.stands(0, o.records(2, 5)...)
	s.db.down(false)
	for _, c := range calls {
		s.answered(c.what+" when the database is there again", func() error { return c.call(s.Context()) })
	}
	s.stands(1, o.records(1, 4)...)
	next.applies(redrive(next.n(5)))
	next.applies(next.n(6))
}

func downMeanwhile(s *scene) {
	o := s.sealed(1, 0)
	for n := uint64(1); n <= 3; n++ {
		m, cut := o.n(n), false
		ctx, cancel := context.WithTimeout(s.Context(), patience)
		err := o.sink.Apply(ctx, []dedup.Mark{m}, func(e effects, _ []int) error {
			err := e.add(s.effect(m), 1)
			if !cut {
				cut = true
				s.db.down(true)
			}
			return err
		})
		cancel()
		s.db.down(false)
		s.told("Apply with a database that goes down meanwhile", err, m)
		o.settles("Apply after the database went down meanwhile", m)
	}
}
