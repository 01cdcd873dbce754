// Outbox shows how an effect outside of the database – a payment, an e-mail – is made for each record although a worker dies in the middle: the intent is stored in one transaction
// with the mark of its record, as a job of River, and the job asks the provider with a key by which that one tells that it was asked before.
//
//	go run ./examples/outbox -postgres postgres://postgres:secret@localhost:5432/postgres
//
// A PostgreSQL for it, where there is none, is that of docker run --rm -e POSTGRES_PASSWORD=secret -p 5432:5432 postgres:15.
//
// A worker process is killed when the provider has charged and the worker has not heard of it; the next one asks again. The program works in a schema of its own, which it drops again. It takes
// half a minute, checks what it says, and ends with exit code 1 if that is not true.
//
// The handler and the job are in outbox.go, and a worker is in worker.go; the rest is the show around it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// options are the flags. The program gives those of the second line to its workers.
type options struct {
	postgres         string
	dir, schema, api string
}

func parse(args []string, usage io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("outbox", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.StringVar(&o.postgres, "postgres", "", "the `URL` of a PostgreSQL database, whose role may make a schema")
	flags.StringVar(&o.dir, "dir", "", "be a worker, and read the orders in this `directory`: the program starts its workers so")
	flags.StringVar(&o.schema, "schema", "", "of a worker: where its tables are")
	flags.StringVar(&o.api, "api", "", "of a worker: the `URL` of the payment provider")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.postgres == "" {
		return o, errors.New("give -postgres URL")
	}
	return o, nil
}

func main() {
	o, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if o.dir != "" {
		signal.Ignore(os.Interrupt) // Ctrl-C reaches every process, and is for the one that stops its workers
		signals = signals[1:]
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	if err == nil && o.dir != "" {
		err = work(ctx, o)
	} else if err == nil {
		err = run(ctx, os.Stdout, o.postgres)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "outbox:", err)
		os.Exit(1)
	}
}
