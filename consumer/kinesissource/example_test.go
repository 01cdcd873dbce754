package kinesissource_test

import (
	"context"
	"fmt"
	"log"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/kinesissource"
	"github.com/runnelhq/runnel/lease/memlease"
)

func Example() {
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		log.Fatal(err)
	}
	err = consumer.Run(ctx, consumer.Config{
		Name:   "orders-index",
		Source: kinesissource.New(kinesis.NewFromConfig(cfg), "orders", nil),
		Leases: memlease.New(),
		Handler: consumer.Each(func(ctx context.Context, r consumer.Record) error {
			fmt.Println(r.Shard, r.Key, string(r.Data))
			return nil
		}),
	})
	if err != nil {
		log.Fatal(err)
	}
}
