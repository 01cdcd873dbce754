package redisletters

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/runnelhq/runnel/deadletter"
)

func TestValidateRefusesWhatCannotWork(t *testing.T) {
	client := func(o *redis.Options) redis.UniversalClient {
		c := redis.NewClient(o)
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
		return c
	}
	fine := client(&redis.Options{ContextTimeoutEnabled: true})
	for name, c := range map[string]struct {
		client redis.UniversalClient
		cfg    Config
		want   string // "": nothing is wrong
	}{
		"a client":            {fine, Config{Prefix: "a b/", Replicas: 2}, ""},
		"none":                {nil, Config{}, "New needs"},
		"no deadlines":        {client(&redis.Options{}), Config{}, "ContextTimeoutEnabled"},
		"a prefix with a tag": {fine, Config{Prefix: "{x}"}, `Config.Prefix is "{x}"`},
		"fewer than none":     {fine, Config{Replicas: -1}, "Config.Replicas is -1"},
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

// Names that have what separates names are names of their own.
func TestKeysOfScopesAreDistinct(t *testing.T) {
	s := New(nil, nil)
	seen := map[names]string{}
	for _, app := range []string{"", "a", "a/b", "a}", "{a", "a%2Fb", "{", "}"} {
		for _, stream := range []string{"", "b", "b/", "}b", "%7Db"} {
			n := s.names(deadletter.Scope{App: app, Stream: stream})
			if was, ok := seen[n]; ok {
				t.Errorf("%q of %s and of %q, %q", n, was, app, stream)
			}
			seen[n] = app + " " + stream
			if tag := strings.TrimPrefix(string(n), "runnel:letters:"); strings.Count(tag, "{") != 1 || strings.Count(tag, "}") != 1 || strings.HasPrefix(tag, "{}") {
				t.Errorf("%q: its braces do not choose one slot for the scope", n)
			}
		}
	}
}
