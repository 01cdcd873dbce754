package main

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/dedup/redisdedup"
)

// openRedis are the books in Redis: one hash of balances, and a list for each statement.
func openRedis(url string, read func(consumer.Record) (transfer, error)) (books, error) {
	o, err := redis.ParseURL(url)
	if err != nil {
		return books{}, err
	}
	o.ContextTimeoutEnabled = true
	client := redis.NewClient(o)
	return books{
		handler: booking(redisdedup.New(client, nil), read, bookKeys),
		setup:   func(context.Context) error { return nil },
		close:   func() { _ = client.Close() }, // nothing is under way
	}, nil
}

// bookKeys adds commands to the one script that also writes the marks.
func bookKeys(_ context.Context, w *redisdedup.Write, lines []line) error {
	for _, l := range lines {
		w.Do("HINCRBY", w.Key("balances"), l.account, l.amount)
		w.Do("RPUSH", w.Key("statement:"+l.account), l.String())
	}
	return nil
}
