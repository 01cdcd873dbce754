// Demo runs the quickstart on the real services: it starts Kinesis and DynamoDB, and has the same three workers
// count votes from a stream of four shards and from the changes of a table, with one of them killed in the middle:
//
//	go run ./examples/demo
//
// The services are those of package localstack: the endpoints named in the environment, LocalStack in Docker or natively, or its engines. Flags are
// handed to the quickstart, such as -records 20000. With -serve it only starts the services, for other programs to use, until it is told to end.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	tables "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	streams "github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/runnelhq/runnel/localstack"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	serve := flags.Bool("serve", false, "start the services, say how to reach them, and keep them until Ctrl-C; must be alone: other flags are the quickstart's")
	if len(args) == 1 {
		switch args[0] {
		case "-serve", "--serve", "-h", "-help", "--help":
			if err := flags.Parse(args); err != nil {
				return err
			}
		}
	}
	fmt.Println("starting Kinesis and DynamoDB …")
	stack, err := localstack.Start(ctx, localstack.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stack.Close()) }()
	if *serve {
		show(stack)
		<-ctx.Done()
		return nil
	}
	return demo(ctx, stack, args)
}

// show prints what another terminal has to be told, so that every AWS program started there uses the services.
func show(stack *localstack.Stack) {
	fmt.Printf("services: %s\nfor other terminals, until Ctrl-C is pressed here:\n\n", stack.Kind)
	for _, v := range stack.Env() {
		fmt.Println("export", v)
		if region, ok := strings.CutPrefix(v, "AWS_REGION="); ok {
			fmt.Println("export AWS_DEFAULT_REGION=" + region) // what older AWS CLIs know
		}
	}
}

// demo has the quickstart count votes, and removes what it made.
func demo(ctx context.Context, stack *localstack.Stack, flags []string) (err error) {
	name := "runnel-demo-" + rand.Text()[:6]
	leases := name + "-leases"
	defer func() { err = errors.Join(err, remove(context.WithoutCancel(ctx), stack, name, leases)) }()
	return quickstart(ctx, stack, append([]string{"-kinesis", name, "-dynamodb", name, "-leases", leases, "-create", "-records", "6000"}, flags...))
}

// quickstart runs the program of that name with the services of the stack.
func quickstart(ctx context.Context, stack *localstack.Stack, flags []string) (err error) {
	dir, err := os.MkdirTemp("", "runnel-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	program := filepath.Join(dir, "quickstart")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/runnelhq/runnel/examples/quickstart")
	build.Stdout, build.Stderr = os.Stdout, os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build the quickstart: %w", err)
	}
	fmt.Printf("services: %s\nquickstart %s\n", stack.Kind, strings.Join(flags, " "))
	run := exec.CommandContext(ctx, program, flags...)
	run.Env = append(os.Environ(), stack.Env()...)
	run.Stdout, run.Stderr = os.Stdout, os.Stderr
	run.Cancel = func() error { return run.Process.Signal(os.Interrupt) } // its workers give up their shards
	run.WaitDelay = time.Minute
	if err := run.Run(); err != nil {
		return fmt.Errorf("the quickstart: %w", err)
	}
	return nil
}

// remove takes away what the quickstart made, or what of it was made: the services may be somebody else's.
func remove(ctx context.Context, stack *localstack.Stack, name, leases string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var errs []error
	var noStream *streams.ResourceNotFoundException
	if _, err := stack.Kinesis().DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: &name}); !errors.As(err, &noStream) {
		errs = append(errs, err)
	}
	var noTable *tables.ResourceNotFoundException
	for _, table := range []string{name, leases} {
		if _, err := stack.DynamoDB().DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &table}); !errors.As(err, &noTable) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
