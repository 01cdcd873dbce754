package redislease

import (
	"context"
	"errors"
	"sync"

	"github.com/redis/go-redis/v9"
)

// master is the client of the server that has a key.
func (s *Store) master(ctx context.Context, key string) (*redis.Client, error) {
	switch c := s.client.(type) {
	case *redis.Client:
		return c, nil
	case *redis.ClusterClient:
		return c.MasterForKey(ctx, key)
	}
	return nil, errNoClient // Validate refuses it
}

// masters calls f for each master: of a cluster in several goroutines.
func (s *Store) masters(ctx context.Context, f func(context.Context, *redis.Client) error) error {
	c, ok := s.client.(*redis.ClusterClient)
	if !ok {
		only, err := s.master(ctx, "")
		if err != nil {
			return err
		}
		return f(ctx, only)
	}
	var mu sync.Mutex
	var errs []error
	err := c.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		if err := f(ctx, node); err != nil {
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		}
		return nil
	})
	return errors.Join(append(errs, err)...)
}

// reload has a cluster's client look again who has which slot, once what it was asked failed. By itself it does so once a minute and when a server says so, and
// goes on to ask a master that is dead.
func (s *Store) reload(ctx context.Context, err error) {
	if c, ok := s.client.(*redis.ClusterClient); ok && err != nil {
		c.ReloadState(ctx)
	}
}
