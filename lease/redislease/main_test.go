//go:build engines

package redislease_test

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

	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/redislease"
	"github.com/runnelhq/runnel/localstack"
)

// startLimit is how long the servers may take to start.
const startLimit = time.Minute

// server is the one that tests share. Each has keys of its own.
var server *localstack.Redis

func TestMain(m *testing.M) {
	os.Exit(func() int {
		if role := os.Getenv(roleVariable); role != "" {
			if err := play(context.Background(), role, os.Args[1], os.Args[2]); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
			return 0
		}
		logging.Disable() // the client logs each server that it does not reach
		ctx, cancel := context.WithTimeout(context.Background(), startLimit)
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

// newStore is a store on the shared server, with keys of its own, set up.
func newStore(t *testing.T, cfg redislease.Config) (*redislease.Store, *redis.Client) {
	t.Helper()
	c := dial(t, server.URL)
	cfg.Prefix = newPrefix(t, c)
	s := redislease.New(c, &cfg)
	if err := s.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, c
}

// row makes a row to write, with a value that tells versions apart.
func row(key string, version uint64) lease.Row {
	return lease.Row{Key: key, Version: version, Value: fmt.Appendf(nil, `{"version":%d}`, version+1)}
}

func put(t *testing.T, s lease.Store, rows ...lease.Row) {
	t.Helper()
	if errs := s.Put(t.Context(), rows); errs != nil {
		t.Fatal(errs)
	}
}

func get(t *testing.T, s lease.Store, key string) lease.Row {
	t.Helper()
	rows, err := s.Get(t.Context(), []string{key})
	if err != nil {
		t.Fatal(err)
	}
	return rows[0]
}

// listed are the rows of a listing by key. One that came twice is there as it came last.
func listed(t *testing.T, s lease.Store, group, after string) map[string]lease.Row {
	t.Helper()
	rows := map[string]lease.Row{}
	for row, err := range s.List(t.Context(), group, after) {
		if err != nil {
			t.Fatal(err)
		}
		rows[row.Key] = row
	}
	return rows
}
