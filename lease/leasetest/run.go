package leasetest

import (
	"context"
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

// cases are the promises of a store.
var cases = []struct {
	name string
	run  func(*scene)
}{
	{"setup by many at once and again", setup},
	{"a row is created once", create},
	{"an update must name the stored version", update},
	{"a delete must name the stored version", remove},
	{"one of several creators wins", raceCreates},
	{"one of several writers wins each version", raceUpdates},
	{"one of a writer and a remover wins", raceRemoves},
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
	{"an ended context is an error", ended},
}

// Run tests the stores that newStore makes, one for each case. They may share storage, also with an earlier run: every case has
// keys of its own. newStore does not call Setup, and has t clean up.
func Run(t *testing.T, newStore func(t *testing.T) lease.Store) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.run(newScene(t, newStore(t)))
		})
	}
}
