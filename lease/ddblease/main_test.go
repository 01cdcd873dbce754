//go:build engines

package ddblease_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/runnelhq/runnel/localstack"
)

// startLimit is how long the stack may take to start.
const startLimit = 3 * time.Minute

var stack *localstack.Stack

func TestMain(m *testing.M) {
	os.Exit(func() int {
		ctx, cancel := context.WithTimeout(context.Background(), startLimit)
		defer cancel()
		var err error
		if stack, err = localstack.Start(ctx, localstack.Options{}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		code := m.Run()
		if err := stack.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if err := goleak.Find(); err != nil && code == 0 {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return code
	}())
}
