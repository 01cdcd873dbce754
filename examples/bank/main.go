// Bank books the transfers of a stream. A transfer takes an amount from one account and gives it to another, in a database of the bank's own, and stands there exactly once, however often its record is delivered and whenever a worker dies: what it
// does and the mark that it is done are one transaction.
//
//	go run ./examples/bank -sink sqlite:bank.db -setup
//	go run ./examples/bank -sink sqlite:bank.db -stream transfers   # a Kinesis stream of {"from":"ada","number":1,"to":"bob","amount":5}
//	go run ./examples/bank -sink sqlite:bank.db -table transfers    # a DynamoDB table: its item of an account is the account's newest transfer
//
// The database is postgres://…, sqlite:FILE, redis://… or dynamodb:TABLE. Start the program several times: the processes share the shards. Region, credentials and endpoint of AWS are those of the environment.
//
// Whatever the database is, the stream is in Kinesis or DynamoDB and the leases are in DynamoDB. Without an account of AWS they are had by go run ./examples/demo -serve, which prints the export lines by which this program finds them; the stream is to be made.
//
// make exactly-once starts it many times, kills it where that hurts, and counts what the database holds.
package main

import (
	"context"
	"flag"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/ddbsource"
	"github.com/runnelhq/runnel/consumer/kinesissource"
	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/ddblease"
)

// options are the flags.
type options struct {
	stream, table string
	sink          string
	setup         bool
	byAccount     bool
	leases        string
	expiry        time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.stream, "stream", "", "the Kinesis stream of transfers")
	flag.StringVar(&o.table, "table", "", "or the DynamoDB table of them; its stream must be enabled, with new images")
	flag.StringVar(&o.sink, "sink", "sqlite:bank.db", "the database of accounts: postgres://…, sqlite:FILE, redis://… or dynamodb:TABLE")
	flag.BoolVar(&o.setup, "setup", false, "make the tables of accounts, and end")
	flag.BoolVar(&o.byAccount, "by-account", false, "book the transfers of different accounts side by side; those of one account stay in order")
	flag.StringVar(&o.leases, "leases", "runnel-leases", "the DynamoDB table of the leases, made if it is missing")
	flag.DurationVar(&o.expiry, "expiry", 10*time.Second, "how long a worker is silent before others take its shards")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := run(ctx, o); err != nil {
		slog.Error("ended", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	services, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	dynamo := dynamodb.NewFromConfig(services)
	var source consumer.Source = kinesissource.New(kinesis.NewFromConfig(services), o.stream, nil)
	read := fromKinesis
	if o.table != "" {
		source, read = ddbsource.New(dynamo, dynamodbstreams.NewFromConfig(services), o.table, nil), fromTable
	}
	books, err := open(o.sink, dynamo, read)
	if err != nil {
		return err
	}
	defer books.close()
	if o.setup {
		return books.setup(ctx)
	}
	cfg := consumer.Config{
		Name: "bank", Source: source, Handler: books.handler, Delivery: consumer.ExactlyOnce, // or else New refuses what cannot keep it
		Leases: ddblease.New(dynamo, o.leases, nil),
		Timing: lease.Timing{Expiry: o.expiry, Heartbeat: o.expiry / 5, Poll: o.expiry / 5, Request: o.expiry / 5, Settle: o.expiry / 2},
		Batch:  consumer.Batch{Size: 25}, // a transfer is an effect on two accounts, and a transaction of DynamoDB has room for some 98
		Logger: slog.Default(),
	}
	if o.byAccount {
		cfg.Order.By = consumer.PerKey
	}
	return consumer.Run(ctx, cfg)
}
