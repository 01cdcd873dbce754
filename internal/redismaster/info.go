package redismaster

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// InfoField is a line's value in the answer of INFO, "" where there is none.
func InfoField(info, name string) string {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// Keeps checks that a server evicts nothing: an error wraps evicts if it may drop what it holds, which what names. Its policy is asked for by INFO: services often forbid CONFIG.
func Keeps(ctx context.Context, node *redis.Client, what string, evicts error) error {
	info, err := node.Info(ctx, "memory").Result()
	if err != nil {
		return fmt.Errorf("read maxmemory_policy by INFO memory: %w", err)
	}
	if policy := InfoField(info, "maxmemory_policy"); policy != "noeviction" {
		return fmt.Errorf("%w: the server at %s has maxmemory-policy %q, by which it may drop %s when its memory is full: set maxmemory-policy noeviction, in redis.conf, by CONFIG SET or in the service's parameters",
			evicts, node.Options().Addr, policy, what)
	}
	return nil
}
