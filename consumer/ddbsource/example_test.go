package ddbsource_test

import (
	"context"
	"fmt"
	"log"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/ddbsource"
	"github.com/runnelhq/runnel/lease/memlease"
)

type Order struct {
	ID    string `dynamodbav:"id"`
	Total float64
}

func Example() {
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		log.Fatal(err)
	}
	err = consumer.Run(ctx, consumer.Config{
		Name:   "orders-index",
		Source: ddbsource.New(dynamodb.NewFromConfig(cfg), dynamodbstreams.NewFromConfig(cfg), "orders", nil),
		Leases: memlease.New(),
		Handler: ddbsource.Each(func(ctx context.Context, c ddbsource.Change[Order]) error {
			switch {
			case c.TTL:
				fmt.Println("expired", c.Key.ID)
			case c.Event == ddbsource.Remove:
				fmt.Println("removed", c.Key.ID)
			case c.New != nil: // the stream's view type has new images
				fmt.Println("now", c.New.ID, c.New.Total)
			}
			return nil
		}),
	})
	if err != nil {
		log.Fatal(err)
	}
}
