package ddblease_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/ddblease"
)

// A store on a table that is made if it is missing.
func Example() {
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		log.Fatal(err)
	}
	store := ddblease.New(dynamodb.NewFromConfig(cfg), "runnel-leases", nil)

	// A consumer calls Setup itself. To see at deployment whether region, credentials and permissions are right, call it there.
	if err := store.Setup(ctx); errors.Is(err, lease.ErrTable) {
		log.Fatalf("the name is taken by another table: %v", err)
	} else if err != nil {
		log.Fatal(err)
	}
}

// Operators look at rows by their group.
func ExampleStore_List() {
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		log.Fatal(err)
	}
	store := ddblease.New(dynamodb.NewFromConfig(cfg), "runnel-leases", &ddblease.Config{MustExist: true})
	for row, err := range store.List(ctx, "orders-index/M/", "") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s, written %d times: %s\n", row.Key, row.Version, row.Value)
	}
}
