package leasetest_test

import (
	"testing"

	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/leasetest"
	"github.com/runnelhq/runnel/lease/memlease"
)

// A store of one's own is tested by one call.
func ExampleRun() {
	TestStore := func(t *testing.T) {
		leasetest.Run(t, func(t *testing.T) lease.Store {
			return memlease.New() // the store under test, cleaned up by t.Cleanup
		})
	}
	_ = TestStore
}
