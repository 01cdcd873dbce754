package redislease

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// refusing is a client that Validate has to judge by its type.
type refusing struct{ redis.UniversalClient }

func TestValidateRefusesWhatCannotWork(t *testing.T) {
	made := func(c redis.UniversalClient) redis.UniversalClient {
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
		return c
	}
	good := func(change func(*redis.Options)) redis.UniversalClient {
		o := &redis.Options{ContextTimeoutEnabled: true}
		change(o)
		return made(redis.NewClient(o))
	}
	cluster := func(change func(*redis.ClusterOptions)) redis.UniversalClient {
		o := &redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}, ContextTimeoutEnabled: true}
		change(o)
		return made(redis.NewClusterClient(o))
	}
	fine := good(func(*redis.Options) {})
	for name, c := range map[string]struct {
		client redis.UniversalClient
		cfg    Config
		want   string // "": nothing is wrong
	}{
		"a client":                {fine, Config{}, ""},
		"a client of a cluster":   {cluster(func(*redis.ClusterOptions) {}), Config{}, ""},
		"a client of Sentinel":    {made(redis.NewFailoverClient(&redis.FailoverOptions{ContextTimeoutEnabled: true})), Config{}, ""},
		"a prefix":                {fine, Config{Prefix: "a b/", Replicas: 2}, ""},
		"none":                    {nil, Config{}, "New needs"},
		"a nil client":            {(*redis.Client)(nil), Config{}, "New needs"},
		"a nil cluster":           {(*redis.ClusterClient)(nil), Config{}, "New needs"},
		"a ring":                  {made(redis.NewRing(&redis.RingOptions{})), Config{}, "New needs"},
		"what wraps a client":     {refusing{fine}, Config{}, "New needs"},
		"no deadlines":            {good(func(o *redis.Options) { o.ContextTimeoutEnabled = false }), Config{}, "ContextTimeoutEnabled"},
		"no read timeout":         {good(func(o *redis.Options) { o.ReadTimeout = -1 }), Config{}, "ReadTimeout"},
		"no read deadline":        {good(func(o *redis.Options) { o.ReadTimeout = -2 }), Config{}, "ReadTimeout"},
		"replicas are read":       {cluster(func(o *redis.ClusterOptions) { o.ReadOnly = true }), Config{}, "ReadOnly"},
		"the nearest is read":     {cluster(func(o *redis.ClusterOptions) { o.RouteByLatency = true }), Config{}, "RouteByLatency"},
		"any is read":             {cluster(func(o *redis.ClusterOptions) { o.RouteRandomly = true }), Config{}, "RouteRandomly"},
		"a cluster, no deadlines": {cluster(func(o *redis.ClusterOptions) { o.ContextTimeoutEnabled = false }), Config{}, "ContextTimeoutEnabled"},
		"a cluster, no timeout":   {cluster(func(o *redis.ClusterOptions) { o.ReadTimeout = -1 }), Config{}, "ReadTimeout"},
		"a prefix with a tag":     {fine, Config{Prefix: "{x}"}, `Config.Prefix is "{x}"`},
		"a prefix with a brace":   {fine, Config{Prefix: "x}"}, `Config.Prefix is "x}"`},
		"fewer than none":         {fine, Config{Replicas: -1}, "Config.Replicas is -1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := New(c.client, &c.cfg)
			err := s.Validate()
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v; want %q", err, c.want)
			}
			if c.want != "" {
				if err := s.Setup(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("Setup: %v; want %q", err, c.want)
				}
			}
		})
	}
}
