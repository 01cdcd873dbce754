package deduptest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
)

var errOnPurpose = errors.New("failed on purpose")

// scene is a case under way: a database, an application that nobody else has, and the scope in which it is played.
type scene struct {
	tb

	db    database
	app   string
	scope dedup.Scope
	batch int
}

func newScene(t tb, db database, scope dedup.Scope, batch int) *scene {
	return &scene{tb: t, db: db, app: "deduptest-" + rand.Text(), scope: scope, batch: batch}
}

// owner is who has, or had, a shard, with a sink of its own.
type owner struct {
	*scene

	sink sink
	mark dedup.Mark // without a position
}

// owner makes one in a process of its own, who has not sealed yet.
func (s *scene) owner(shard string, epoch, generation uint64) *owner {
	s.Helper()
	return &owner{s, s.db.sink(), dedup.Mark{
		App: s.app, Stream: "orders:2026-01-02", Shard: shard, Scope: s.scope, Key: "key", Epoch: epoch, Session: rand.Text(), Generation: generation,
	}}
}

// sealed makes an owner of shard "s" in generation 1 who has sealed it, with the lease at a position.
func (s *scene) sealed(epoch, lease uint64) *owner {
	s.Helper()
	o := s.owner("s", epoch, 1)
	o.seal(at(lease))
	return o
}

// at is the n-th position of a shard, and of 0 that before the first.
func at(n uint64) checkpoint.Position {
	if n == 0 {
		return checkpoint.Position{}
	}
	return checkpoint.Offset(n)
}

// of is the owner's mark of a record.
func (o *owner) of(p checkpoint.Position) dedup.Mark {
	m := o.mark
	m.Position = p
	return m
}

// n is the owner's mark of the n-th record, of the one key that records have if nothing else is said.
func (o *owner) n(n uint64) dedup.Mark { return o.of(at(n)) }

// key is the owner's mark of the n-th record, of a key.
func (o *owner) key(key string, n uint64) dedup.Mark {
	m := o.n(n)
	m.Key = key
	return m
}

// records are the owner's marks from a number to another, both included.
func (o *owner) records(from, to uint64) (ms []dedup.Mark) {
	for n := from; n <= to; n++ {
		ms = append(ms, o.n(n))
	}
	return ms
}

// redrive makes a mark one of a letter that is redriven.
func redrive(m dedup.Mark) dedup.Mark {
	m.Redrive = true
	return m
}

// effect names what a record adds to, in all generations and however it is called upon.
func (s *scene) effect(m dedup.Mark) string {
	p := m.Position.String()
	if len(p) > 60 {
		p = p[:30] + ".." + p[len(p)-30:]
	}
	return s.app + "/" + m.Shard + "/" + p
}

// seal seals and wants no error.
func (o *owner) seal(lease checkpoint.Position) checkpoint.Position {
	o.Helper()
	low, err := o.sink.Seal(o.Context(), o.of(lease))
	if err != nil {
		o.Fatalf("Seal of shard %s in epoch %d, generation %d: %v", o.mark.Shard, o.mark.Epoch, o.mark.Generation, err)
	}
	return low
}

// seals seals and wants a low, as a text.
func (o *owner) seals(lease, want checkpoint.Position) {
	o.Helper()
	if low := o.seal(lease); low.String() != want.String() {
		o.Fatalf("Seal in epoch %d, generation %d with the lease at %.80q: low is %.80q; want %.80q", o.mark.Epoch, o.mark.Generation, lease, low, want)
	}
}

// apply adds 1 for each record that is fresh, and tells which were in the last call of the function.
func (o *owner) apply(ctx context.Context, ms ...dedup.Mark) (fresh []int, err error) {
	err = o.sink.Apply(ctx, ms, func(e effects, indices []int) error {
		if len(indices) == 0 {
			o.Errorf("Apply of %s has called its function although nothing is fresh", names(ms))
		}
		fresh = slices.Clone(indices)
		for _, i := range indices {
			if err := e.add(o.effect(ms[i]), 1); err != nil {
				return err
			}
		}
		return nil
	})
	return fresh, err
}

// applies wants all records to be fresh.
func (o *owner) applies(ms ...dedup.Mark) {
	o.Helper()
	var all []int
	for i := range ms {
		all = append(all, i)
	}
	o.appliesSome(all, ms...)
}

// repeats wants no record to be fresh.
func (o *owner) repeats(ms ...dedup.Mark) {
	o.Helper()
	o.appliesSome(nil, ms...)
}

// appliesSome wants those with the indices to be fresh, and their effects to stand once more.
func (o *owner) appliesSome(want []int, ms ...dedup.Mark) {
	o.Helper()
	before := o.totals(ms)
	fresh, err := o.apply(o.Context(), ms...)
	if err != nil {
		o.Fatalf("Apply of %s: %v", names(ms), err)
	}
	if !slices.Equal(fresh, want) {
		o.Fatalf("Apply of %s: fresh are %s; want %s", names(ms), some(fresh), some(want))
	}
	after := o.totals(ms)
	for i, m := range ms {
		more := 0
		if slices.Contains(want, i) {
			more = 1
		}
		if after[i] != before[i]+more {
			o.Fatalf("Apply of %s added %d for %s; want %d", names(ms), after[i]-before[i], name(m), more)
		}
	}
}

// refused wants an Apply to be refused and its effects not to stand.
func (o *owner) refused(target error, ms ...dedup.Mark) {
	o.Helper()
	before := o.totals(ms)
	_, err := o.apply(o.Context(), ms...)
	o.wants("Apply of "+names(ms), err, target)
	if after := o.totals(ms); !slices.Equal(after, before) {
		o.Fatalf("Apply of %s had the error %q, and the totals went from %v to %v", names(ms), err, before, after)
	}
}

// writesNothing wants every call that writes to be refused, and nothing to be written.
func (o *owner) writesNothing(target error, stored dedup.Mark) {
	o.Helper()
	m := o.n(7)
	o.refused(target, m)
	_, err := o.apply(o.Context(), m)
	o.refusal("Apply", err, target, stored)
	o.refusal("Advance", o.sink.Advance(o.Context(), m), target, stored)
	o.refusal("Bury", o.sink.Bury(o.Context(), o.records(7, 8)), target, stored)
}

// advance wants no error.
func (o *owner) advance(p checkpoint.Position) {
	o.Helper()
	if err := o.sink.Advance(o.Context(), o.of(p)); err != nil {
		o.Fatalf("Advance to %.80q in epoch %d: %v", p, o.mark.Epoch, err)
	}
}

// bury wants no error.
func (o *owner) bury(ms ...dedup.Mark) {
	o.Helper()
	if err := o.sink.Bury(o.Context(), ms); err != nil {
		o.Fatalf("Bury of %s: %v", names(ms), err)
	}
}

// stands wants a record to have had its effect so often.
func (s *scene) stands(times int, ms ...dedup.Mark) {
	s.Helper()
	for i, n := range s.totals(ms) {
		if n != times {
			s.Fatalf("the effect of %s stands %d times; want %d", name(ms[i]), n, times)
		}
	}
}

func (s *scene) totals(ms []dedup.Mark) []int {
	s.Helper()
	all := make([]int, len(ms))
	for i, m := range ms {
		n, err := s.db.total(s.Context(), s.effect(m))
		if err != nil {
			s.Fatalf("the total of %s: %v", s.effect(m), err)
		}
		all[i] = n
	}
	return all
}

// kept counts what is stored of the application.
func (s *scene) kept() int {
	s.Helper()
	n, err := s.db.rows(s.Context(), s.app)
	if err != nil {
		s.Fatalf("the number of rows: %v", err)
	}
	return n
}

// ended is a context that is over.
func (s *scene) ended() context.Context {
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	return ctx
}

var (
	refusals = []error{dedup.ErrFenced, dedup.ErrNotSealed, dedup.ErrGeneration, dedup.ErrScope}
	others   = []error{dedup.ErrOutOfOrder, dedup.ErrPending, dedup.ErrUnsettled, dedup.ErrUnavailable}
)

// errRolledBack stands for a [*dedup.RolledBackError] where an error is wanted.
var errRolledBack = errors.New("a *dedup.RolledBackError")

// errOdd is the kind of an error that is of none, or of several.
var errOdd = errors.New("of no kind that dedup.Sink lists, or of several")

// kind is which of the errors that a sink may have err is.
func kind(err error) error {
	if err == nil {
		return nil
	}
	if back := (*dedup.RolledBackError)(nil); errors.As(err, &back) {
		return errRolledBack
	}
	var found []error
	for _, target := range slices.Concat(refusals, others) {
		if errors.Is(err, target) {
			found = append(found, target)
		}
	}
	if len(found) != 1 {
		return errOdd
	}
	if refused := (*dedup.RefusedError)(nil); errors.As(err, &refused) != slices.Contains(refusals, found[0]) {
		return errOdd
	}
	return found[0]
}

// wants wants an error that is target and nothing else of what a sink may answer.
func (s *scene) wants(what string, err, target error) {
	s.Helper()
	if !errors.Is(kind(err), target) {
		s.Fatalf("%s: %v (%T); want %q and no other kind of error", what, err, err, target)
	}
}

// refusal wants a [*dedup.RefusedError] that says what is stored.
func (s *scene) refusal(what string, err, target error, stored dedup.Mark) {
	s.Helper()
	s.wants(what, err, target)
	var r *dedup.RefusedError
	errors.As(err, &r)
	if r.Shard != stored.Shard || r.Epoch != stored.Epoch || r.Generation != stored.Generation || r.Session != stored.Session {
		s.Fatalf("%s: refused by shard %s, epoch %d, generation %d, session %q; want shard %s, epoch %d, generation %d, session %q", what,
			r.Shard, r.Epoch, r.Generation, r.Session, stored.Shard, stored.Epoch, stored.Generation, stored.Session)
	}
}

// name is how a record is called in a failed test.
func name(m dedup.Mark) string {
	text := fmt.Sprintf("%.60q of %s", m.Position, m.Shard)
	if m.Scope == dedup.PerKey {
		text += fmt.Sprintf(", lane %.40q", m.Lane())
	}
	return text + fmt.Sprintf(", epoch %d, generation %d", m.Epoch, m.Generation)
}

func names(ms []dedup.Mark) string {
	var all []string
	for _, m := range ms {
		all = append(all, name(m))
	}
	return some(all)
}

// some shows the first of many.
func some[T any](all []T) string {
	if len(all) > 8 {
		return fmt.Sprintf("%v and %d more", all[:8], len(all)-8)
	}
	return fmt.Sprint(all)
}
