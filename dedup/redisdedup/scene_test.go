//go:build engines

package redisdedup_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/redisdedup"
)

// mark is of an owner of a shard, in an application that nobody else has.
func mark(scope dedup.Scope) dedup.Mark {
	return dedup.Mark{App: "test-" + rand.Text(), Stream: "orders", Shard: "s", Scope: scope, Key: "key", Epoch: 1, Session: rand.Text()}
}

// at is a mark of the n-th record.
func at(m dedup.Mark, n uint64) dedup.Mark {
	m.Position = checkpoint.Offset(n)
	return m
}

func of(m dedup.Mark, key string, n uint64) dedup.Mark {
	m.Key = key
	return at(m, n)
}

// records are marks from a number to another, both included.
func records(m dedup.Mark, from, to uint64) (ms []dedup.Mark) {
	for n := from; n <= to; n++ {
		ms = append(ms, at(m, n))
	}
	return ms
}

// counting adds 1 to a counter of each record.
func counting(ms []dedup.Mark) func(w *redisdedup.Write, fresh []int) error {
	return func(w *redisdedup.Write, fresh []int) error {
		for _, i := range fresh {
			w.Do("INCR", w.Key(ms[i].Position.String()))
		}
		return nil
	}
}

// apply wants records to be applied, by one call of the function.
func apply(t *testing.T, s *redisdedup.Sink, ms ...dedup.Mark) {
	t.Helper()
	calls := 0
	if err := s.Apply(t.Context(), ms, func(w *redisdedup.Write, fresh []int) error {
		calls++
		return counting(ms)(w, fresh)
	}); err != nil {
		t.Fatal(err)
	}
	if calls != 1 {
		t.Fatalf("the function is called %d times; want once", calls)
	}
}

// refused wants an error of an Apply that adds to counters.
func refused(t *testing.T, s *redisdedup.Sink, target error, ms ...dedup.Mark) error {
	t.Helper()
	err := s.Apply(t.Context(), ms, counting(ms))
	if !errors.Is(err, target) {
		t.Fatalf("%v; want %v", err, target)
	}
	return err
}

func refuses(t *testing.T, s *redisdedup.Sink, target error, ms ...dedup.Mark) {
	t.Helper()
	_ = refused(t, s, target, ms...)
}

// repeats wants no record to be fresh.
func repeats(t *testing.T, s *redisdedup.Sink, ms ...dedup.Mark) {
	t.Helper()
	if err := s.Apply(t.Context(), ms, func(_ *redisdedup.Write, fresh []int) error { return fmt.Errorf("%d are fresh", fresh) }); err != nil {
		t.Fatal(err)
	}
}

func seal(t *testing.T, s *redisdedup.Sink, m dedup.Mark, want uint64) {
	t.Helper()
	low, err := s.Seal(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := low.Offset(); n != want {
		t.Fatalf("low is %q; want %d", low, want)
	}
}

func advance(t *testing.T, s *redisdedup.Sink, m dedup.Mark) {
	t.Helper()
	if err := s.Advance(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

// stand wants counters of records to be at a number.
func stand(t *testing.T, c redis.Cmdable, want int, ms ...dedup.Mark) {
	t.Helper()
	for _, m := range ms {
		if n := count(t, c, redisdedup.Tag(m.App)+":"+m.Position.String()); n != want {
			t.Fatalf("the effect of record %s stands %d times; want %d", m.Position, n, want)
		}
	}
}

func count(t *testing.T, c redis.Cmdable, key string) int {
	t.Helper()
	n, err := c.Get(t.Context(), key).Int()
	if err != nil && !errors.Is(err, redis.Nil) {
		t.Fatal(err)
	}
	return n
}

// newSink is a sink on the shared server that has sealed m's shard. What is of m's application is deleted when t ends: the server may be the environment's.
func newSink(t *testing.T, m dedup.Mark) (*redisdedup.Sink, *redis.Client) {
	t.Helper()
	c := dial(t, server.URL)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		keys, err := c.Keys(ctx, "*"+redisdedup.Tag(m.App)+"*").Result()
		if err == nil && len(keys) > 0 {
			err = c.Unlink(ctx, keys...).Err()
		}
		if err != nil {
			t.Errorf("delete the keys of %s: %v", m.App, err)
		}
	})
	s := redisdedup.New(c, nil)
	seal(t, s, m, 0)
	return s, c
}

// dump is all that the application has, but notes of attempts.
func dump(t *testing.T, c *redis.Client, m dedup.Mark) (all []string) {
	t.Helper()
	keys, err := c.Keys(t.Context(), "*"+redisdedup.Tag(m.App)+"*").Result()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(keys)
	for _, key := range keys {
		value, err := c.Dump(t.Context(), key).Result()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, key, value)
	}
	return all
}

// key is one of the sink's own of m's shard.
func key(m dedup.Mark, name string) string {
	return "runnel:dedup:" + redisdedup.Tag(m.App) + "/shards/" + m.Stream + "/" + m.Shard + "/" + name
}
