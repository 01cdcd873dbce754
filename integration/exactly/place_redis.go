package main

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/runnelhq/runnel/dedup/redisdedup"
	"github.com/runnelhq/runnel/internal/torment"
	"github.com/runnelhq/runnel/localstack"
)

func inRedis(ctx context.Context, _ *ground, _ *input) (*place, error) {
	r, err := localstack.StartRedis(ctx, localstack.Options{})
	if err != nil {
		return nil, err
	}
	return &place{
		address: r.Addr, sink: func(address string) string { return torment.Moved(r.URL, address) },
		commits: func(part []byte) bool { return bytes.Contains(bytes.ToLower(part), []byte("\r\nevalsha\r\n")) },
		read:    func(ctx context.Context) (books, error) { return readKeys(ctx, r.URL) },
		end:     func(context.Context) error { return r.Close() },
	}, nil
}

func readKeys(ctx context.Context, url string) (_ books, err error) {
	o, err := redis.ParseURL(url)
	if err != nil {
		return books{}, err
	}
	client := redis.NewClient(o)
	defer func() { err = errors.Join(err, client.Close()) }()
	b, tag := newBooks(), redisdedup.Tag("bank")+":"
	balances, err := client.HGetAll(ctx, tag+"balances").Result()
	if err != nil {
		return books{}, err
	}
	for account, text := range balances {
		if b.balances[account], err = strconv.ParseInt(text, 10, 64); err != nil {
			return books{}, err
		}
	}
	statements, err := client.Keys(ctx, tag+"statement:*").Result()
	if err != nil {
		return books{}, err
	}
	for _, key := range statements {
		lines, err := client.LRange(ctx, key, 0, -1).Result()
		if err != nil {
			return books{}, err
		}
		if err := b.add(strings.TrimPrefix(key, tag+"statement:"), lines); err != nil {
			return books{}, err
		}
	}
	return b, nil
}
