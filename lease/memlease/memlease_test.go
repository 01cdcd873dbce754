package memlease_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/leasetest"
	"github.com/runnelhq/runnel/lease/memlease"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStoreConforms(t *testing.T) {
	leasetest.Run(t, func(*testing.T) lease.Store { return memlease.New() })
}

func TestTheZeroStoreConforms(t *testing.T) {
	leasetest.Run(t, func(*testing.T) lease.Store { return &memlease.Store{} })
}
