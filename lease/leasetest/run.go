package leasetest

import (
	"context"
	"slices"
	"testing"

	"github.com/runnelhq/runnel/lease"
)

// tb is the part of [testing.TB] that cases use, so that the suite itself can be tested.
type tb interface {
	Context() context.Context
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// promise is one that a store makes, and the case that tests it.
type promise struct {
	name string
	run  func(*scene)
}

// promises are those of every store.
var promises = []promise{
	{"setup by many at once and again", setup},
	{"a row is created once", create},
	{"an update must name the stored version", update},
	{"a delete must name the stored version", remove},
	{"one of several creators wins", raceCreates},
	{"one of several writers wins each version", raceUpdates},
	{"one of a writer and a remover wins", raceRemoves},
	{"one of two removers wins", raceTwoRemoves},
	{"a row is created again after it was deleted, not before", raceRemoveCreate},
	{"of writers of several rows one wins each row", raceMany},
	{"a writer of one row and one of many do not hinder each other", raceOneAndMany},
	{"a read sees every acknowledged write", readsAreConsistent},
	{"rows are read in the order of the keys", readOrder},
	{"many rows are read at once", readMany},
	{"values are kept byte for byte", valuesAreExact},
	{"values belong to the caller", valuesAreOwned},
	{"large values are kept and listed", largeValues},
	{"rows written at once are independent", putMany},
	{"rows deleted at once are independent", removeMany},
	{"nothing is asked for", emptyInputs},
	{"a cursor is stamped or kept", cursors},
	{"a listing holds one group", listGroup},
	{"a listing by cursor has the change", listAfter},
	{"a deleted row leaves the listing", listRemoved},
	{"a listing can be left early", listBreak},
	{"a listing has what was there while others write", listWhileWritten},
	{"an ended context is an error", ended},
	{"a write whose context ends is done or not", cancelWrites},
	{"a read whose context ends has all or an error", cancelReads},
	{"what callers see at once has an order", linear},
	{"ten thousand rows are created and listed, and some deleted", many},
}

// faultPromises are those of a store whose line has faults.
var faultPromises = []struct {
	promise
	fault Fault
}{
	{promise{"what does not arrive is an error, and no conflict", gone}, Cut},
	{promise{"a write whose answer is lost is done once or not at all", lost}, Lost},
	{promise{"a write that arrives late meets its condition", late}, Late},
	{promise{"an answer that takes its time is waited for", slow}, Slow},
	{promise{"what is throttled is an error, and no conflict", throttled}, Throttled},
	{promise{"what callers see under faults has an order", linearUnderFaults}, None},
}

// Suite tests a store.
type Suite struct {
	// New makes a store, one for each case. Stores may share storage, also with an earlier run: every case has keys of its own. New does not
	// call Setup, and has t clean up.
	New func(t *testing.T) lease.Store
	// Faulty makes a store whose way to its service has faults, one for all cases about them. It does not call Setup, and has t clean up. Nil leaves
	// those cases out: a store that has a network to its service has not passed then.
	Faulty func(t *testing.T) Faulty
}

// Run runs each case as a test of its own.
func (s Suite) Run(t *testing.T) {
	for _, p := range promises {
		t.Run(p.name, func(t *testing.T) {
			p.run(newScene(t, s.New(t)))
		})
	}
	if s.Faulty == nil {
		return
	}
	t.Run("faults", func(t *testing.T) {
		f := s.Faulty(t)
		if !slices.ContainsFunc(f.Line.Faults(), func(known Fault) bool { return known != None }) {
			t.Error("Faulty.Line knows no fault, so nothing would be tested: leave Faulty nil, or have Faults name what Set can do")
		}
		for _, p := range faultPromises {
			if slices.Contains(f.Line.Faults(), p.fault) {
				t.Run(p.name, func(t *testing.T) { p.runFaulty(t, f) })
			}
		}
	})
}

// runFaulty leaves the line without a fault, for the next case.
func (p promise) runFaulty(t tb, f Faulty) {
	defer f.Line.Set(None)
	s := newScene(t, f.Store)
	s.direct, s.line = f.Direct, f.Line
	p.run(s)
}

// Run is [Suite.Run] of a suite that has only New.
func Run(t *testing.T, newStore func(t *testing.T) lease.Store) {
	Suite{New: newStore}.Run(t)
}
