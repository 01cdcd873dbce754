//go:build engines

package ddbdedup_test

import (
	"os"
	"testing"

	"github.com/runnelhq/runnel/internal/stacktest"
	"github.com/runnelhq/runnel/localstack"
)

var stack *localstack.Stack

func TestMain(m *testing.M) { os.Exit(stacktest.Run(m, &stack)) }
