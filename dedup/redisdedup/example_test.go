package redisdedup_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/redisdedup"
)

// A driver of its own applies records of a shard that it has acquired.
func Example() {
	ctx := context.Background()
	client := redis.NewClient(&redis.Options{Addr: "redis.internal:6379", Username: "runnel", Password: "secret", ContextTimeoutEnabled: true})
	defer func() { _ = client.Close() }()
	sink := redisdedup.New(client, &redisdedup.Config{Replicas: 1})
	if err := sink.Setup(ctx); err != nil {
		log.Fatal(err)
	}

	m := dedup.Mark{App: "billing", Stream: "orders", Shard: "shard-0", Epoch: 7, Session: "a fresh one", Position: checkpoint.Offset(41)}
	low, err := sink.Seal(ctx, m)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("go on behind %s\n", low)
	m.Position = checkpoint.Offset(42)
	err = sink.Apply(ctx, []dedup.Mark{m}, func(w *redisdedup.Write, fresh []int) error {
		w.Do("HINCRBY", w.Key("customer-1"), "orders", 1)
		w.Do("ZINCRBY", w.Key("ranking"), 19.9, "customer-1")
		return nil
	})
	if halfway, ok := errors.AsType[*redisdedup.HalfwayError](err); ok {
		log.Fatalf("effects up to %d stand, and are made again if the record is applied again: %v", halfway.Effect, halfway)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// A check is made before the first effect: what it refuses leaves nothing half-way.
func ExampleWrite_Check() {
	f := func(w *redisdedup.Write, fresh []int) error {
		from, to := w.Key("account-1"), w.Key("account-2")
		w.Check(`
			for _, key in ipairs(KEYS) do
				if not tonumber(redis.call('GET', key) or 0) then return redis.error_reply(key .. ' is no number') end
			end`, []redisdedup.Key{from, to})
		w.Do("INCRBY", from, -5)
		w.Do("INCRBY", to, 5)
		return nil
	}
	_ = f
}

// A function in Lua may look before it writes. Its data are arguments, so that the server compiles the same text.
func ExampleWrite_Eval() {
	f := func(w *redisdedup.Write, fresh []int) error {
		w.Eval(`
			if tonumber(redis.call('GET', KEYS[1]) or 0) < tonumber(ARGV[1]) then
				redis.call('SET', KEYS[1], ARGV[1])
			end`, []redisdedup.Key{w.Key("highest")}, 42)
		return nil
	}
	_ = f
}

// The keys of an application are in one slot.
func ExampleNew_cluster() {
	sink := redisdedup.New(redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: []string{"redis-1:6379", "redis-2:6379", "redis-3:6379"}, ContextTimeoutEnabled: true,
	}), &redisdedup.Config{TTL: 30 * 24 * time.Hour})
	fmt.Println(sink.Validate(), redisdedup.Tag("billing"))
	// Output: <nil> {billing}
}
