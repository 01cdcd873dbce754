//go:build engines

package integration

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/runnelhq/runnel/localstack"
)

// stack serves all tests but those that roll the shards of tables or move time.
var stack *localstack.Stack

func TestMain(m *testing.M) {
	if task, ok := os.LookupEnv(taskVariable); ok {
		os.Exit(work(task))
	}
	flag.Parse()
	// Most tests wait for something most of the time: for leases to expire, for pages of idle shards.
	if err := flag.Set("test.parallel", "10"); err != nil {
		panic(err)
	}
	code, err := onStack(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func onStack(run func() int) (code int, err error) {
	stack, err = localstack.Start(context.Background(), localstack.Options{})
	if err != nil {
		return 1, err
	}
	begun := time.Now()
	code = run()
	fmt.Printf("on %s for %v\n", stack.Kind, time.Since(begun).Round(time.Second))
	return code, errors.Join(stack.Close(), goleak.Find())
}

// onBoth runs f on a stream of Kinesis with so many shards, and on the stream of a DynamoDB table, which has one.
func onBoth(t *testing.T, shards int, f func(t *testing.T, b *bench)) {
	t.Helper()
	t.Parallel()
	t.Run("Kinesis", func(t *testing.T) {
		t.Parallel()
		f(t, newBench(t, stack.Clients, newKinesisStream(t, stack.Clients, shards)))
	})
	t.Run("DynamoDB", func(t *testing.T) {
		t.Parallel()
		f(t, newBench(t, stack.Clients, newTable(t, stack.Clients, "NEW_IMAGE")))
	})
}

// ownDynamoDB is a DynamoDB whose shards and whose time are this test's alone.
func ownDynamoDB(t *testing.T) *localstack.DynamoDB {
	t.Helper()
	d, err := localstack.StartDynamoDB(t.Context(), localstack.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// onTable runs on a table in a DynamoDB of the test's own.
func onTable(t *testing.T) (*bench, *localstack.DynamoDB) {
	t.Helper()
	d := ownDynamoDB(t)
	return newBench(t, d.Clients, newTable(t, d.Clients, "NEW_IMAGE")), d
}

// onKinesis runs on a stream of Kinesis alone.
func onKinesis(t *testing.T, shards int) (*bench, *kinesisStream) {
	t.Helper()
	s := newKinesisStream(t, stack.Clients, shards)
	return newBench(t, stack.Clients, s), s
}

// limit is how long a test waits for what must happen.
const limit = 2 * time.Minute

// eventually fails the test if ok does not hold in time. What says in words what was waited for, and what is there instead.
func eventually(t *testing.T, what func() string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("after %v: %s", limit, what())
		}
	}
}

// says is a fixed text for [eventually].
func says(format string, args ...any) func() string {
	return func() string { return fmt.Sprintf(format, args...) }
}

// pause lets d pass, in which something must not happen.
func pause(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
		t.Fatal(context.Cause(t.Context()))
	}
}
