package main

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/runnelhq/runnel/internal/torment"
	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/redislease"
	"github.com/runnelhq/runnel/localstack"
)

func beginRedis(ctx context.Context, _ localstack.Clients) (*storage, error) {
	r, err := localstack.StartRedis(ctx, localstack.Options{})
	if err != nil {
		return nil, err
	}
	prefix := torment.Unique("chaos") + ":"
	return &storage{
		address: r.Addr,
		what:    func(address string) string { return torment.Moved(r.URL, address) + " " + prefix },
		end:     func(context.Context) error { return r.Close() },
	}, nil
}

func openRedis(_ localstack.Clients, what string) (lease.Store, func() error, error) {
	var address, prefix string
	if _, err := fmt.Sscan(what, &address, &prefix); err != nil {
		return nil, nil, err
	}
	o, err := redis.ParseURL(address)
	if err != nil {
		return nil, nil, err
	}
	o.ContextTimeoutEnabled = true
	client := redis.NewClient(o)
	return redislease.New(client, &redislease.Config{Prefix: prefix}), client.Close, nil
}
