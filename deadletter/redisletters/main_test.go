//go:build engines

package redisletters_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"go.uber.org/goleak"

	"github.com/runnelhq/runnel/deadletter/redisletters"
	"github.com/runnelhq/runnel/localstack"
)

// server is the one that tests share. Each has keys of its own.
var server *localstack.Redis

func TestMain(m *testing.M) {
	os.Exit(func() int {
		logging.Disable() // the client logs each server that it does not reach
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		var err error
		if server, err = localstack.StartRedis(ctx, localstack.Options{}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		code := m.Run()
		if err := server.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if err := goleak.Find(); err != nil && code == 0 {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return code
	}())
}

// dial makes a client as the package's documentation wants it.
func dial(t *testing.T, url string) *redis.Client {
	t.Helper()
	o, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	o.ContextTimeoutEnabled = true
	return closing(t, redis.NewClient(o))
}

func closing[C io.Closer](t *testing.T, c C) C {
	t.Helper()
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// node starts a server of the test's own.
func node(t *testing.T, settings ...string) *localstack.Redis {
	t.Helper()
	r, err := localstack.StartRedisNode(t.Context(), localstack.Options{}, settings...)
	if err != nil {
		t.Fatal(err)
	}
	return closing(t, r)
}

// newStore is a store on the shared server, with keys of its own, which are deleted when t ends: the server may be the environment's.
func newStore(t *testing.T) (*redisletters.Store, *redis.Client, string) {
	t.Helper()
	c := dial(t, server.URL)
	prefix := "test-" + rand.Text() + ":"
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		keys, err := c.Keys(ctx, prefix+"*").Result()
		if err == nil && len(keys) > 0 {
			err = c.Unlink(ctx, keys...).Err()
		}
		if err != nil {
			t.Errorf("delete the keys of %s: %v", prefix, err)
		}
	})
	return redisletters.New(c, &redisletters.Config{Prefix: prefix}), c, prefix
}
