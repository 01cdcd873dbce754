//go:build engines

package redislease_test

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/leasetest"
	"github.com/runnelhq/runnel/lease/redislease"
)

func TestStoreConforms(t *testing.T) {
	leasetest.Run(t, func(t *testing.T) lease.Store {
		c := dial(t, server.URL)
		return redislease.New(c, &redislease.Config{Prefix: newPrefix(t, c)})
	})
}

func TestStoreOfAClusterConforms(t *testing.T) {
	_, addrs := cluster(t, 0)
	leasetest.Run(t, func(t *testing.T) lease.Store {
		return redislease.New(closing(t, redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs, ContextTimeoutEnabled: true})), nil)
	})
}
