//go:build engines

package redisdedup_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"go.uber.org/goleak"

	"github.com/runnelhq/runnel/localstack"
)

// server is the one that tests share. Each has applications of its own.
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
func dial(t *testing.T, url string, change ...func(*redis.Options)) *redis.Client {
	t.Helper()
	o, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	o.ContextTimeoutEnabled = true
	for _, f := range change {
		f(o)
	}
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
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}
