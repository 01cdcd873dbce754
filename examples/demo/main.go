// The demo consumes a real Kinesis stream and the changes of a real DynamoDB table with three worker processes, kills one of them in the
// middle of its work, and checks that nothing is missing:
//
//	go run ./examples/demo
//
// The services are those of package localstack: the endpoints named in the environment, LocalStack in Docker or natively, or its engines.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/runnelhq/runnel/localstack"
)

// options are the flags. The parent hands those of the worker to its children.
type options struct {
	records int
	changes int
	workers int
	kill    bool

	worker        string
	stream, table string
}

func main() {
	var o options
	flag.IntVar(&o.records, "records", 4_000, "records to put into the Kinesis stream")
	flag.IntVar(&o.changes, "changes", 2_000, "changes to make to the DynamoDB table")
	flag.IntVar(&o.workers, "workers", 3, "worker processes")
	flag.BoolVar(&o.kill, "kill", true, "kill a worker with SIGKILL in the middle")
	flag.StringVar(&o.worker, "worker", "", "run as the worker of this name (the demo starts its workers so)")
	flag.StringVar(&o.stream, "stream", "", "the stream that a worker reads")
	flag.StringVar(&o.table, "table", "", "the table whose changes a worker reads")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	run := demo
	if o.worker != "" {
		run = work
	}
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// demo makes the streams, runs the workers, and holds what they handled against what was put.
func demo(ctx context.Context, o options) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	fmt.Println("starting Kinesis and DynamoDB …")
	stack, err := localstack.Start(ctx, localstack.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stack.Close()) }()
	data := producer{stack: stack, suffix: fmt.Sprint(time.Now().UnixNano()), done: new(atomic.Int64)}
	if err := data.create(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, data.remove(context.WithoutCancel(ctx))) }()
	o.stream, o.table = data.stream(), data.table()

	t := newTally(o, data.done)
	crew, err := newCrew(stack, o, t)
	if err != nil {
		return err
	}
	defer crew.stop()
	for range o.workers {
		if err := crew.hire(ctx); err != nil {
			return err
		}
	}
	fmt.Printf("%d workers share a Kinesis stream of 4 shards and a table's stream (services: %s)\n", o.workers, stack.Kind)

	puts := make(chan error, 1)
	go func() { puts <- data.put(ctx, o) }()
	if err := watch(ctx, o, t, crew, puts); err != nil {
		return err
	}
	crew.stop()
	return t.report(os.Stdout)
}

// watch prints the progress, kills a worker at a third of the way, and returns when everything was handled.
func watch(ctx context.Context, o options, t *tally, crew *crew, puts <-chan error) error {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	begun, killed := time.Now(), !o.kill
	for {
		select {
		case err := <-puts:
			if err != nil {
				return err
			}
			puts = nil
		case err := <-crew.failed:
			return err
		case <-t.third:
			t.third = nil
			if !killed {
				killed = true
				crew.kill()
			}
		case <-t.whole:
			fmt.Println(t.line(begun))
			return nil
		case <-tick.C:
			fmt.Println(t.line(begun))
		case <-ctx.Done():
			return fmt.Errorf("stopped after %s: %w\n%s", time.Since(begun).Round(time.Second), context.Cause(ctx), t.missing())
		}
	}
}
