//go:build engines

package redisletters_test

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/deadletter/letterstest"
	"github.com/runnelhq/runnel/deadletter/redisletters"
)

func TestStoreConforms(t *testing.T) {
	letterstest.Run(t, func(t *testing.T) deadletter.Store {
		s, _, _ := newStore(t)
		return s
	})
}

func TestStoreOfAClusterConforms(t *testing.T) {
	addrs := cluster(t, 0)
	letterstest.Run(t, func(t *testing.T) deadletter.Store {
		return redisletters.New(closing(t, redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs, ContextTimeoutEnabled: true})), nil)
	})
}
