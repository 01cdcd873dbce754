//go:build engines

package redislease_test

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/leasetest"
	"github.com/runnelhq/runnel/lease/redislease"
)

func TestStoreConforms(t *testing.T) {
	leasetest.Suite{
		New: func(t *testing.T) lease.Store {
			c := dial(t, server.URL)
			return redislease.New(c, &redislease.Config{Prefix: newPrefix(t, c)})
		},
		Faulty: func(t *testing.T) leasetest.Faulty {
			line, err := leasetest.NewProxy(server.Addr)
			if err != nil {
				t.Fatal(err)
			}
			closing(t, line)
			direct := dial(t, server.URL)
			cfg := &redislease.Config{Prefix: newPrefix(t, direct)}
			through := dial(t, strings.Replace(server.URL, server.Addr, line.Addr(), 1))
			return leasetest.Faulty{Store: redislease.New(through, cfg), Direct: redislease.New(direct, cfg), Line: line}
		},
	}.Run(t)
}

func TestStoreOfAClusterConforms(t *testing.T) {
	_, addrs := cluster(t, 0)
	leasetest.Run(t, func(t *testing.T) lease.Store {
		return redislease.New(closing(t, redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs, ContextTimeoutEnabled: true})), nil)
	})
}
