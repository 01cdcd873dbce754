package redislease_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/redis/go-redis/v9"

	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/redislease"
)

// A store on one server.
func Example() {
	ctx := context.Background()
	client := redis.NewClient(&redis.Options{Addr: "redis.internal:6379", Username: "runnel", Password: "secret", ContextTimeoutEnabled: true})
	defer func() { _ = client.Close() }()
	store := redislease.New(client, nil)

	// A consumer calls Setup itself. To see at deployment whether the server can be used, call it there.
	if err := store.Setup(ctx); errors.Is(err, lease.ErrTable) {
		log.Fatalf("the server may drop leases: %v", err)
	} else if errors.Is(err, lease.ErrDenied) {
		log.Fatalf("the user may not do what is needed: %v", err)
	} else if err != nil {
		log.Fatal(err)
	}
}

// The master is what Sentinel says it is.
func ExampleNew_sentinel() {
	store := redislease.New(redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: "leases", SentinelAddrs: []string{"sentinel-1:26379", "sentinel-2:26379", "sentinel-3:26379"}, ContextTimeoutEnabled: true,
	}), &redislease.Config{Replicas: 1})
	fmt.Println(store.Validate())
	// Output: <nil>
}

// The rows of an application are in one slot.
func ExampleNew_cluster() {
	store := redislease.New(redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: []string{"redis-1:6379", "redis-2:6379", "redis-3:6379"}, ContextTimeoutEnabled: true,
	}), &redislease.Config{Prefix: "leases:"})
	fmt.Println(store.Validate())
	// Output: <nil>
}

// Operators look at rows by their group.
func ExampleStore_List() {
	ctx := context.Background()
	store := redislease.New(redis.NewClient(&redis.Options{Addr: "redis.internal:6379", ContextTimeoutEnabled: true}), nil)
	for row, err := range store.List(ctx, "orders-index/M/", "") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s, written %d times: %s\n", row.Key, row.Version, row.Value)
	}
}
