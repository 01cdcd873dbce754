package letterstest

import (
	"cmp"
	"context"
	"testing"
	"time"

	"github.com/runnelhq/runnel/deadletter"
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

var promises = []promise{
	{"every field comes back", fieldsComeBack},
	{"a letter with nothing comes back", nothingComesBack},
	{"a large payload is kept whole", largePayload},
	{"payloads that cannot be compressed are kept byte for byte", bytePayloads},
	{"positions of every kind come back", positionsComeBack},
	{"keys and shards are kept byte for byte", namesAreExact},
	{"the texts of failures may be any bytes", textsMayBeAnything},
	{"letters belong to the caller", lettersAreOwned},
	{"storing twice is storing once", storeOnce},
	{"a letter of another generation is another letter", generations},
	{"a call without letters does nothing", nothingToStore},
	{"two scopes never see each other", scopesAreApart},
	{"letters of a key rise in the order of storing", orderOfSeq},
	{"a sequence never falls back", seqNeverFalls},
	{"a reading has what its query says", queries},
	{"heads have all but the payload", heads},
	{"a reading can be left early", leaveEarly},
	{"ten thousand letters are listed", manyLetters},
	{"letters of Put park nothing", putParksNothing},
	{"a key is parked with its letter", parkOpens},
	{"a key that is not parked takes no followers", parkRefuses},
	{"letters of several keys are not parked in one call", parkMixed},
	{"a letter that is stored under another key parks nothing", parkElsewhere},
	{"a letter that is stored under another key parks no claimed key", parkElsewhereClaimed},
	{"the last letter takes the parking with it", settleUnparks},
	{"a failure is added to the history", failuresAreKept},
	{"what is not there cannot be settled", settleMissing},
	{"only who has the claim settles", settleUnclaimed},
	{"a claim is refused to others until it is given back", claimRefused},
	{"a claim runs out", claimRunsOut},
	{"a claim is prolonged", claimProlonged},
	{"one of several claimers wins", claimRace},
	{"an ended context is an error", ended},
	{"many keys are parked and listed", manyParked},
	{"nothing is appended to a key that was just freed", appendersAndDrainer},
	{"letters stored by many at once are stored once, in order", manyWriters},
	{"what callers see at once has an order", linear},
}

// Suite tests a store.
type Suite struct {
	// New makes a store that is set up, one for each case. Stores may share storage, also with an earlier run: every case has scopes of its own. New has t clean up.
	New func(t *testing.T) deadletter.Store
	// Claim is the shortest claim that the suite makes. Cases about claims that run out wait about five times as long. Defaults to 500 ms, which suits a store whose calls
	// take some milliseconds.
	Claim time.Duration
	// Payload is the size of the largest payload, in bytes. Defaults to 10 MiB, which every store must keep: only a trial has less.
	Payload int
}

// Run runs each case as a test of its own.
func (s Suite) Run(t *testing.T) {
	for _, p := range promises {
		t.Run(p.name, func(t *testing.T) { p.run(s.scene(t, s.New(t))) })
	}
}

func (s Suite) scene(t tb, store deadletter.Store) *scene {
	return newScene(t, store, cmp.Or(s.Claim, 500*time.Millisecond), cmp.Or(s.Payload, 10<<20))
}

// Run is [Suite.Run] of a suite that has only New.
func Run(t *testing.T, newStore func(t *testing.T) deadletter.Store) {
	Suite{New: newStore}.Run(t)
}
