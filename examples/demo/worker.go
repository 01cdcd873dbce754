package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"

	"golang.org/x/sync/errgroup"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/ddbsource"
	"github.com/runnelhq/runnel/consumer/kinesissource"
	"github.com/runnelhq/runnel/lease/ddblease"
	"github.com/runnelhq/runnel/localstack"
)

// every is how many records of a shard are handled between two stored positions.
const every = 500

// vote is what both streams carry: the n-th vote of a voter.
type vote struct {
	Voter string `json:"voter" dynamodbav:"voter"`
	N     int    `json:"n" dynamodbav:"n"`
}

// work is a worker process: two consumers, whose handlers print what they were given. It ends with its parent, which holds the other end of
// its standard input.
func work(ctx context.Context, o options) error {
	ctx, orphaned := context.WithCancel(ctx)
	defer orphaned()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // the end of it is what counts
		orphaned()
	}()
	stack, err := localstack.Start(ctx, localstack.Options{Kind: localstack.Environment})
	if err != nil {
		return err
	}
	leases := ddblease.New(stack.DynamoDB(), "runnel-leases-"+o.stream, nil)
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))

	stream := consumer.Config{
		Name:   "demo-stream",
		Source: kinesissource.New(stack.Kinesis(), o.stream, nil),
		Handler: consumer.JSON(func(_ context.Context, v vote, r consumer.Record) error {
			return tell(o.worker, "kinesis", v, r)
		}),
	}
	changes := consumer.Config{
		Name:   "demo-changes",
		Source: ddbsource.New(stack.DynamoDB(), stack.Streams(), o.table, nil),
		Handler: ddbsource.Each(func(_ context.Context, c ddbsource.Change[vote]) error {
			return tell(o.worker, "dynamodb", *c.New, c.Record)
		}),
	}
	var both errgroup.Group
	for _, cfg := range []consumer.Config{stream, changes} {
		cfg.Worker, cfg.Leases, cfg.Logger = o.worker, leases, logger
		cfg.Checkpoint = checkpoint.EveryN(every)
		both.Go(func() error { return consumer.Run(ctx, cfg) })
	}
	return both.Wait()
}

// tell is the effect of a record: a line in a pipe, which stays there whatever becomes of this process. The workers share the pipe, so that their
// lines are in the order in which they were written.
func tell(worker, stream string, v vote, r consumer.Record) error {
	_, err := fmt.Fprintln(os.Stdout, worker, stream, r.Shard, v.Voter, v.N)
	return err
}
