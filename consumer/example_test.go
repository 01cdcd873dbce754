package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os/signal"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/ddbsource"
	"github.com/runnelhq/runnel/consumer/kinesissource"
	"github.com/runnelhq/runnel/lease/ddblease"
)

// Order is what the examples' records hold.
type Order struct{ ID, Item string }

func index(context.Context, Order) error { return nil }

// A whole program: a handler and four lines.
func Example() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		log.Fatal(err)
	}
	err = consumer.Run(ctx, consumer.Config{
		Name:    "orders-index",
		Source:  kinesissource.New(kinesis.NewFromConfig(cfg), "orders", nil),
		Leases:  ddblease.New(dynamodb.NewFromConfig(cfg), "runnel-leases", nil),
		Handler: consumer.JSON(func(ctx context.Context, o Order, r consumer.Record) error { return index(ctx, o) }),
	})
	if err != nil {
		log.Fatal(err)
	}
}

// Customer is what the examples' table holds.
type Customer struct {
	ID   string `dynamodbav:"id"`
	Name string
}

func store(context.Context, Customer) error { return nil }
func forget(context.Context, string) error  { return nil }

// The changes of a table, with their images decoded.
func ExampleRun() {
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		log.Fatal(err)
	}
	dynamo, streams := dynamodb.NewFromConfig(cfg), dynamodbstreams.NewFromConfig(cfg)
	err = consumer.Run(ctx, consumer.Config{
		Name:   "customers-index",
		Source: ddbsource.New(dynamo, streams, "customers", nil),
		Leases: ddblease.New(dynamo, "runnel-leases", nil),
		Handler: ddbsource.Each(func(ctx context.Context, c ddbsource.Change[Customer]) error {
			if c.New == nil { // removed, if the stream's view type has new images
				return forget(ctx, c.Key.ID)
			}
			return store(ctx, *c.New)
		}),
	})
	if err != nil {
		log.Fatal(err)
	}
}

// A handler of batches says how far it got; the rest is delivered again.
func ExamplePartialError() {
	store := func(context.Context, consumer.Record) error { return nil }
	h := consumer.HandlerFunc(func(ctx context.Context, rs []consumer.Record) error {
		for i, r := range rs {
			if err := store(ctx, r); err != nil {
				return &consumer.PartialError{Done: i, Err: err}
			}
		}
		return nil
	})
	fmt.Println(h(context.Background(), nil))
	// Output: <nil>
}

// New reports every fault of a Config at once, and starts nothing.
func ExampleNew() {
	_, err := consumer.New(consumer.Config{Name: "orders", Batch: consumer.Batch{Size: -1}})
	fmt.Println(err)
	// Output:
	// consumer: Config.Source is nil: give the stream to read, such as kinesissource.New(client, stream, nil)
	// consumer: Config.Leases is nil: give the store of leases, such as ddblease.New(client, table, nil)
	// consumer: Config.Handler is nil: give what processes the records, such as consumer.Each(f)
	// consumer: Config.Batch.Size is -1: use 1 or more, or 0 for the default
}

// What to alert on: it does not run, does not reach what it needs, or a shard waits or lies behind for long. Only Running is for the probe that restarts a process.
func ExampleConsumer_Status() {
	trouble := func(c *consumer.Consumer) error {
		status := c.Status()
		if !status.Running {
			return errors.New("it does not run")
		}
		if len(status.Shards) == 0 && time.Since(status.LastErrorAt) < time.Minute {
			return fmt.Errorf("it has no shard: %w", status.LastError)
		}
		for _, s := range status.Shards {
			if s.Failing != nil && time.Since(s.Since) > time.Minute {
				return fmt.Errorf("shard %s waits since %s: %w", s.Shard, s.Since, s.Failing)
			}
			if s.Behind > time.Hour {
				return fmt.Errorf("shard %s is %v behind", s.Shard, s.Behind)
			}
		}
		return nil
	}
	_ = trouble
}

// A strategy is a value; a crash repeats what the strictest of several allows.
func ExampleConfig_checkpoint() {
	var cfg consumer.Config
	cfg.Checkpoint = checkpoint.Any{checkpoint.EveryN(100), checkpoint.Every(2 * time.Second)}
	fmt.Println(checkpoint.Window(cfg.Checkpoint))
	// Output: 200
}

// Positions are stored after each record; a crash repeats what was in the handler's hands and nothing else. A handler may tell a record that
// cannot be retried from one that can.
func ExampleConfig() {
	errGone := errors.New("the order was cancelled")
	cfg := consumer.Config{
		Checkpoint: checkpoint.EveryRecord{},
		Failure:    consumer.Failure{Backoff: 50 * time.Millisecond, MaxBackoff: 5 * time.Second, OnTrimmed: consumer.SkipGap},
		Handler: consumer.JSON(func(ctx context.Context, o Order, r consumer.Record) error {
			if err := index(ctx, o); !errors.Is(err, errGone) {
				return err
			}
			return nil
		}),
		Hooks: consumer.Hooks{Retried: func(e consumer.Retried) { log.Printf("shard %s waits for %s: %v", e.Shard, e.Position, e.Err) }},
	}
	_ = cfg
}
