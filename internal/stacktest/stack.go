// Package stacktest runs programs of this module as users do: built, as processes of their own, on the services of package localstack, and allowed no more
// than the documented IAM policies allow.
package stacktest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/runnelhq/runnel/localstack"
)

// Run starts the services, puts them into stack, runs the tests of a package and ends the services. It is the code with which TestMain exits.
func Run(m *testing.M, stack **localstack.Stack) int {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	s, err := localstack.Start(ctx, localstack.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	*stack = s
	code := m.Run()
	if err := errors.Join(s.Close(), goleak.Find()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// variables are what a stack gives to its child processes.
func variables(s *localstack.Stack) map[string]string {
	all := map[string]string{}
	for _, v := range s.Env() {
		name, value, _ := strings.Cut(v, "=")
		all[name] = value
	}
	return all
}

// Limit is how long a test waits for what must happen.
const Limit = time.Minute

// Eventually fails the test if ok does not hold in time; what says what was waited for, and what is there instead.
func Eventually(t *testing.T, what func() string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), Limit)
	defer cancel()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("after %v: %s", Limit, what())
		}
	}
}
