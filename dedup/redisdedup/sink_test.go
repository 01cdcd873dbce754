//go:build engines

package redisdedup_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/deduptest"
	"github.com/runnelhq/runnel/dedup/redisdedup"
)

// counters are effects in Redis, as the suite wants them.
type counters struct{ redis.UniversalClient }

func (c counters) add(w *redisdedup.Write, name string, n int) error {
	w.Do("INCRBY", w.Key(name), n)
	return nil
}

func (c counters) total(ctx context.Context, name string) (int, error) {
	app, _, _ := strings.Cut(name, "/")
	n, err := c.Get(ctx, redisdedup.Tag(app)+":"+name).Int()
	if errors.Is(err, redis.Nil) {
		return 0, nil
	}
	return n, err
}

func (c counters) refuse(w *redisdedup.Write) error {
	w.Check("return false", nil)
	return nil
}

// rows counts what the sink stores of an application.
func (c counters) rows(ctx context.Context, app string) (rows int, err error) {
	keys, err := c.Keys(ctx, "runnel:dedup:"+redisdedup.Tag(app)+"/*").Result()
	for _, key := range keys {
		n := int64(1)
		switch {
		case err != nil:
		case strings.HasSuffix(key, "/done"):
			n, err = c.HLen(ctx, key).Result()
		case strings.HasSuffix(key, "/order"):
			if n, err = c.ZCard(ctx, key).Result(); err == nil {
				n -= c.HLen(ctx, strings.TrimSuffix(key, "order")+"done").Val() // as many as there are marks
			}
		case strings.HasSuffix(key, "/dead"):
			n, err = c.ZCard(ctx, key).Result()
		}
		rows += int(n)
	}
	return rows, err
}

// saved is all that a server holds of the suite's applications.
func (c counters) save(t *testing.T) (restore func()) {
	t.Helper()
	ctx := t.Context()
	all := func() []string {
		keys, err := c.Keys(ctx, "*{deduptest-*").Result()
		if err != nil {
			t.Fatal(err)
		}
		return keys
	}
	values := map[string]string{}
	for _, key := range all() {
		value, err := c.Dump(ctx, key).Result()
		if err != nil {
			t.Fatal(err)
		}
		values[key] = value
	}
	return func() {
		for _, key := range all() {
			if err := c.Del(ctx, key).Err(); err != nil {
				t.Fatal(err)
			}
		}
		for key, value := range values {
			if err := c.Restore(ctx, key, 0, value).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestSinkConforms(t *testing.T) {
	cfg := redisdedup.Config{TTL: time.Hour}
	c := counters{dial(t, server.URL)}
	deduptest.Run(t, deduptest.Harness[*redisdedup.Write]{Open: func(t *testing.T) deduptest.Database[*redisdedup.Write] {
		p, url := newProxy(t, server.Addr)
		return deduptest.Database[*redisdedup.Write]{
			Sink: func(t *testing.T) dedup.Effects[*redisdedup.Write] { return redisdedup.New(dial(t, url), &cfg) },
			Add:  c.add, Total: c.total, Refuse: c.refuse, Rows: c.rows, Save: c.save,
			LoseAnswer: func(_ *testing.T, then func()) { p.next(writing, fate{lose: true, then: then}) },
			LoseWrite:  func(_ *testing.T, then func()) { p.next(writing, fate{drop: true, then: then}) },
			Down:       func(_ *testing.T, down bool) { p.cut(down) },
		}
	}})
}
