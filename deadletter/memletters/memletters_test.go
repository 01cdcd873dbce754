package memletters_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/deadletter/letterstest"
	"github.com/runnelhq/runnel/deadletter/memletters"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStoreConforms(t *testing.T) {
	letterstest.Run(t, func(*testing.T) deadletter.Store { return memletters.New() })
}

func TestTheZeroStoreConforms(t *testing.T) {
	letterstest.Run(t, func(*testing.T) deadletter.Store { return &memletters.Store{} })
}
