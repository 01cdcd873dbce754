package letterstest_test

import (
	"testing"
	"time"

	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/deadletter/letterstest"
	"github.com/runnelhq/runnel/deadletter/memletters"
)

// The test of a store, whose calls may take so long that half a second is too short for a claim.
func ExampleSuite() {
	_ = func(t *testing.T) {
		letterstest.Suite{
			New:   func(*testing.T) deadletter.Store { return memletters.New() },
			Claim: 2 * time.Second,
		}.Run(t)
	}
}
