package main

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/redisdedup"
	"github.com/runnelhq/runnel/localstack"
)

// redisOrders are counted in a hash, by key.
type redisOrders struct {
	*redisdedup.Sink

	client *redis.Client
	name   string // what keys begin with
}

// counts is the key of the hash. It has the tag of the application, as the sink wants it.
func (s *redisOrders) counts() string { return redisdedup.Tag("bench") + ":" + s.name }

func (s *redisOrders) alone(ctx context.Context, rs []order) error {
	_, err := s.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		for _, r := range rs {
			p.HIncrBy(ctx, s.counts(), r.key, 1)
		}
		return nil
	})
	return err
}

// naive notes all and then makes the effects of those that were not noted before, in two round trips: who dies in between has lost them.
func (s *redisOrders) naive(ctx context.Context, shard string, rs []order) error {
	fresh, err := s.note(ctx, shard, rs)
	if err != nil || len(fresh) == 0 {
		return err
	}
	return s.alone(ctx, fresh)
}

// note makes a marker a record, and tells which had none.
func (s *redisOrders) note(ctx context.Context, shard string, rs []order) (fresh []order, err error) {
	said := make([]*redis.BoolCmd, len(rs))
	if _, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, r := range rs {
			said[i] = p.SetNX(ctx, s.name+":markers:"+shard+":"+r.position.String(), "", 0)
		}
		return nil
	}); err != nil {
		return nil, err
	}
	for i, r := range rs {
		if said[i].Val() {
			fresh = append(fresh, r)
		}
	}
	return fresh, nil
}

func (s *redisOrders) once(ctx context.Context, ms []dedup.Mark, rs []order) error {
	return s.Apply(ctx, ms, func(w *redisdedup.Write, fresh []int) error {
		if rs == nil {
			return nil
		}
		for _, i := range fresh {
			w.Do("HINCRBY", w.Key(s.name), rs[i].key, 1)
		}
		return nil
	})
}

func (s *redisOrders) noted(ctx context.Context, shard string, rs []order) error {
	_, err := s.note(ctx, shard, rs)
	return err
}

func (s *redisOrders) made(ctx context.Context) (n int64, err error) {
	counts, err := s.client.HVals(ctx, s.counts()).Result()
	if err != nil {
		return 0, err
	}
	for _, text := range counts {
		c, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return 0, err
		}
		n += c
	}
	return n, nil
}

func (s *redisOrders) marks(ctx context.Context) (extent, error) {
	return s.extent(ctx, s.name+":marks:")
}

func (s *redisOrders) markers(ctx context.Context) (extent, error) {
	return s.extent(ctx, s.name+":markers:")
}

// extent is that of keys with a prefix, as MEMORY USAGE has it. Fields of a hash are rows, but those of a seal.
func (s *redisOrders) extent(ctx context.Context, prefix string) (all extent, err error) {
	for cursor := uint64(0); ; {
		var keys []string
		if keys, cursor, err = s.client.Scan(ctx, cursor, prefix+"*", 1000).Result(); err != nil {
			return all, err
		}
		sizes, rows := make([]*redis.IntCmd, len(keys)), make([]*redis.IntCmd, len(keys))
		if len(keys) > 0 {
			if _, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
				for i, key := range keys {
					sizes[i] = p.MemoryUsage(ctx, key, 0)
					if strings.HasSuffix(key, "/done") {
						rows[i] = p.HLen(ctx, key)
					}
				}
				return nil
			}); err != nil {
				return all, err
			}
		}
		for i, key := range keys {
			all.bytes += sizes[i].Val()
			switch {
			case rows[i] != nil:
				all.rows += rows[i].Val()
			case !strings.HasSuffix(key, "/order"): // it has the rows of done once more
				all.rows++
			}
		}
		if cursor == 0 {
			return all, nil
		}
	}
}

// serveRedis has databases in a server of its own.
func serveRedis(ctx context.Context, f func(opener) error) (err error) {
	server, err := localstack.StartRedis(ctx, localstack.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	client := redis.NewClient(&redis.Options{Addr: server.Addr, ContextTimeoutEnabled: true})
	defer func() { err = errors.Join(err, client.Close()) }()
	return f(func(ctx context.Context, name string) (ordersDB, error) {
		s := &redisOrders{redisdedup.New(client, &redisdedup.Config{Prefix: name + ":marks:"}), client, name}
		return s, s.Setup(ctx)
	})
}
