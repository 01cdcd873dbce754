package deduptest

import (
	"cmp"
	"context"
	"testing"

	"github.com/runnelhq/runnel/dedup"
)

// tb is the part of [testing.TB] that cases use, so that the suite itself can be tested.
type tb interface {
	Context() context.Context
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Harness says how sinks of one kind are tested. E is what their effects are made on.
type Harness[E any] struct {
	// Open makes a database, one for each case. Databases may share storage, also with an earlier run: every case has an application of its own, and names of effects that begin with the
	// application's. Open has t clean up.
	Open func(t *testing.T) Database[E]
	// Batch is how many records, each with a key and an effect of its own, a call can have. Defaults to 1,000.
	Batch int
}

// Database is where effects live, as sinks see it and as the suite does.
type Database[E any] struct {
	// Sink makes a sink on the database that is ready for use, set up if need be. Two of them share nothing but the database, as those of two processes.
	Sink func(t *testing.T) dedup.Effects[E]
	// Add is an effect: it adds n to a counter, which is 0 before. The name is of some 100 bytes of printable ASCII at most, without spaces. A call adds once to one counter.
	Add func(e E, name string, n int) error
	// Total reads a counter, with every effect of an Apply that has returned.
	Total func(ctx context.Context, name string) (int, error)

	// Refuse is an effect that the database does not do: a constraint that is violated, a condition that does not hold. It returns what it is told; the refusal may also come with the commit. Nil
	// leaves out the cases about it.
	Refuse func(e E) error
	// Rows counts what the sink stores of an application: seals, marks of keys and records, the dead. Nil leaves out the cases about what is stored.
	Rows func(ctx context.Context, app string) (int, error)
	// Save notes what the database holds, and restore brings that back, as a backup or a fail-over to an old replica does. No sink is at work meanwhile. Nil leaves out the cases about it.
	Save func(t *testing.T) (restore func())
	// LoseAnswer has the database carry out the next write of any of its sinks, which learns nothing but that its connection has ended. It returns at once, and is for one write, or commit; before
	// the sink learns of the end, then is called if it is not nil: it may use other sinks. Nil leaves out the cases about it.
	LoseAnswer func(t *testing.T, then func())
	// LoseWrite is as LoseAnswer, but the write does not arrive. Nil leaves out the cases about it.
	LoseWrite func(t *testing.T, then func())
	// Down cuts all sinks off from the database, and connects them again. Total reads it all the same. Nil leaves out the cases about it.
	Down func(t *testing.T, down bool)
}

// database is a [Database] whatever its E.
type database struct {
	sink       func() sink
	total      func(ctx context.Context, name string) (int, error)
	refuses    bool
	rows       func(ctx context.Context, app string) (int, error)
	save       func() (restore func())
	loseAnswer func(then func())
	loseWrite  func(then func())
	down       func(bool)
}

// sink is one of the tested, whatever its E.
type sink = dedup.Effects[effects]

// effects are what cases do in an Apply.
type effects struct {
	add    func(name string, n int) error
	refuse func() error
}

// anyE has the effects of cases done on an E.
type anyE[E any] struct {
	dedup.Sink

	effects dedup.Effects[E]
	db      *Database[E]
}

func (a anyE[E]) Apply(ctx context.Context, ms []dedup.Mark, f func(e effects, fresh []int) error) error {
	return a.effects.Apply(ctx, ms, func(e E, fresh []int) error {
		return f(effects{
			add:    func(name string, n int) error { return a.db.Add(e, name, n) },
			refuse: func() error { return a.db.Refuse(e) },
		}, fresh)
	})
}

func (h Harness[E]) open(t *testing.T) database {
	db := h.Open(t)
	d := database{
		sink: func() sink {
			s := db.Sink(t)
			return anyE[E]{s, s, &db}
		},
		total:   db.Total,
		refuses: db.Refuse != nil,
		rows:    db.Rows,
	}
	if db.Save != nil {
		d.save = func() func() { return db.Save(t) }
	}
	if db.LoseAnswer != nil {
		d.loseAnswer = func(then func()) { db.LoseAnswer(t, then) }
	}
	if db.LoseWrite != nil {
		d.loseWrite = func(then func()) { db.LoseWrite(t, then) }
	}
	if db.Down != nil {
		d.down = func(down bool) { db.Down(t, down) }
	}
	return d
}

// promise is one that a sink makes, and the case that tests it.
type promise struct {
	name   string
	scopes []dedup.Scope // in each of which it is tested
	run    func(*scene)
	needs  func(database) bool // nil: nothing that a database may leave out
}

// Run runs each case as a test of its own, in each scope that it is about and the sink keeps.
func Run[E any](t *testing.T, h Harness[E]) {
	first := h.open(t)
	terms := first.sink().Terms()
	if len(terms.Scopes) == 0 {
		t.Fatal("the sink keeps no scope")
	}
	for _, p := range promises() {
		if p.needs != nil && !p.needs(first) {
			continue
		}
		for _, scope := range p.scopes {
			if terms.Keeps(scope) {
				t.Run(p.name+"/"+scope.String(), func(t *testing.T) {
					p.run(newScene(t, h.open(t), scope, cmp.Or(h.Batch, 1000)))
				})
			}
		}
	}
}
