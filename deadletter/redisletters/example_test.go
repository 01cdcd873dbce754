package redisletters_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/deadletter/redisletters"
)

// An operator sees what is parked, and drops the letters of a key.
func Example() {
	ctx := context.Background()
	client := redis.NewClient(&redis.Options{Addr: "redis.internal:6379", Username: "runnel", Password: "secret", ContextTimeoutEnabled: true})
	defer func() { _ = client.Close() }()
	store := redisletters.New(client, &redisletters.Config{Replicas: 1})
	if err := store.Setup(ctx); err != nil {
		log.Fatal(err)
	}

	scope := deadletter.Scope{App: "billing", Stream: "orders"}
	for p, err := range store.Parked(ctx, scope) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%q is parked since %v with %d letters\n", p.Key, p.Since, p.Letters)
	}
	claim := deadletter.Claim{Scope: scope, Key: "customer-1", Token: "a fresh one"}
	if err := store.Claim(ctx, claim, time.Minute); err != nil {
		log.Fatal(err)
	}
	for l, err := range store.Read(ctx, deadletter.Query{Scope: scope, Key: claim.Key, Keyed: true, Heads: true}) {
		if err == nil {
			err = store.Settle(ctx, claim, l.ID(), nil)
		}
		if err != nil {
			log.Fatal(err)
		}
	}
}

// The letters of a scope are in one slot.
func ExampleNew_cluster() {
	store := redisletters.New(redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: []string{"redis-1:6379", "redis-2:6379", "redis-3:6379"}, ContextTimeoutEnabled: true,
	}), &redisletters.Config{Prefix: "letters:"})
	fmt.Println(store.Validate())
	// Output: <nil>
}
