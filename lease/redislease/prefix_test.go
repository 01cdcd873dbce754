//go:build engines

package redislease_test

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// newPrefix is a prefix whose keys are deleted when t ends: the server may be the environment's.
func newPrefix(t *testing.T, c redis.UniversalClient) string {
	t.Helper()
	prefix := "test-" + rand.Text() + ":"
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		keys, err := c.Keys(ctx, prefix+"*").Result()
		for _, key := range keys {
			if err == nil {
				err = c.Del(ctx, key).Err()
			}
		}
		if err != nil {
			t.Errorf("delete the keys of %s: %v", prefix, err)
		}
	})
	return prefix
}
