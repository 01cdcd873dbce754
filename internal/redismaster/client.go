package redismaster

import (
	"context"
	"errors"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Client is a client of masters. The zero value has none, and only Validate may be called on it.
type Client struct{ redis.UniversalClient }

var errNoClient = errors.New("no client that can be used: New needs a *redis.Client, as from redis.NewClient or redis.NewFailoverClient, or a *redis.ClusterClient: of others it is not known whether they read what was written")

// Validate refuses a client that may read what is old, or that waits beyond deadlines, without any command.
func (c Client) Validate() error {
	var heeds, reads bool
	switch c := c.UniversalClient.(type) {
	case *redis.Client:
		if c == nil {
			return errNoClient
		}
		heeds, reads = c.Options().ContextTimeoutEnabled, c.Options().ReadTimeout > 0
	case *redis.ClusterClient:
		if c == nil {
			return errNoClient
		}
		o := c.Options()
		if o.ReadOnly || o.RouteByLatency || o.RouteRandomly {
			return errors.New("the client reads from replicas, which lack the last writes: unset ReadOnly, RouteByLatency and RouteRandomly")
		}
		heeds, reads = o.ContextTimeoutEnabled, o.ReadTimeout > 0
	default:
		return errNoClient
	}
	switch {
	case !heeds:
		return errors.New("the client does not heed deadlines, so that calls end too late when a server hangs: set ContextTimeoutEnabled")
	case !reads:
		return errors.New("the client waits for ever for a server that hangs: leave ReadTimeout unset, or give it some seconds")
	}
	return nil
}

// Of is the client of the server that has a key.
func (c Client) Of(ctx context.Context, key string) (*redis.Client, error) {
	switch c := c.UniversalClient.(type) {
	case *redis.Client:
		return c, nil
	case *redis.ClusterClient:
		return c.MasterForKey(ctx, key)
	}
	return nil, errNoClient // Validate refuses it
}

// Each calls f for each master: of a cluster in several goroutines.
func (c Client) Each(ctx context.Context, f func(context.Context, *redis.Client) error) error {
	cluster, ok := c.UniversalClient.(*redis.ClusterClient)
	if !ok {
		only, err := c.Of(ctx, "")
		if err != nil {
			return err
		}
		return f(ctx, only)
	}
	var mu sync.Mutex
	var errs []error
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		if err := f(ctx, node); err != nil {
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		}
		return nil
	})
	return errors.Join(append(errs, err)...)
}

// Reload has a cluster's client look again who has which slot, once what it was asked failed. By itself it does so once a minute and when a server says so, and
// goes on to ask a master that is dead.
func (c Client) Reload(ctx context.Context, err error) {
	if c, ok := c.UniversalClient.(*redis.ClusterClient); ok && err != nil {
		c.ReloadState(ctx)
	}
}
