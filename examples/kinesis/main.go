// Kinesis logs the records of a Kinesis stream. Start it several times: the processes share the shards.
//
//	go run ./examples/kinesis -stream orders
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
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/kinesissource"
	"github.com/runnelhq/runnel/lease/ddblease"
)

func main() {
	stream := flag.String("stream", "", "the Kinesis stream to read, by name or ARN")
	leases := flag.String("leases", "runnel-leases", "the DynamoDB table of the leases, made if it is missing")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := run(ctx, *stream, *leases); err != nil {
		slog.Error("ended", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, stream, leases string) error {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	return consumer.Run(ctx, consumer.Config{
		Name:   "log-" + stream,
		Source: kinesissource.New(kinesis.NewFromConfig(cfg), stream, nil),
		Leases: ddblease.New(dynamodb.NewFromConfig(cfg), leases, nil),
		Handler: consumer.Each(func(ctx context.Context, r consumer.Record) error {
			slog.InfoContext(ctx, "record", "key", r.Key, "data", string(r.Data), "shard", r.Shard, "position", r.Position.String())
			return nil
		}),
		Logger: slog.Default(),
	})
}
