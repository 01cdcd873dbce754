// Dynamodb logs the changes of the items of a DynamoDB table, whatever their attributes are. Start it several times: the processes share the
// shards of the table's stream.
//
//	go run ./examples/dynamodb -table customers
//
// Region, credentials and endpoint are those of the environment, as with every AWS program.
package main

import (
	"context"
	"flag"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/ddbsource"
	"github.com/runnelhq/runnel/lease/ddblease"
)

// item has any attributes. A service has a struct here.
type item = map[string]any

func main() {
	table := flag.String("table", "", "the DynamoDB table whose changes to read; its stream must be enabled")
	leases := flag.String("leases", "runnel-leases", "the DynamoDB table of the leases, made if it is missing")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := run(ctx, *table, *leases); err != nil {
		slog.Error("ended", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, table, leases string) error {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	dynamo := dynamodb.NewFromConfig(cfg)
	return consumer.Run(ctx, consumer.Config{
		Name:   "log-" + table,
		Source: ddbsource.New(dynamo, dynamodbstreams.NewFromConfig(cfg), table, nil),
		Leases: ddblease.New(dynamo, leases, nil),
		Handler: ddbsource.Each(func(ctx context.Context, c ddbsource.Change[item]) error {
			slog.InfoContext(ctx, "change", "event", c.Event, "key", c.Key, "old", c.Old, "new", c.New)
			return nil
		}),
		Logger: slog.Default(),
	})
}
