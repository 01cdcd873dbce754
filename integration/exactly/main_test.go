package main

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/runnelhq/runnel/internal/torment"
)

func TestMain(m *testing.M) {
	if code, ok := torment.Guard(); ok {
		os.Exit(code)
	}
	goleak.VerifyTestMain(m)
}
