//go:build engines

package redisdedup_test

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/deduptest"
	"github.com/runnelhq/runnel/dedup/redisdedup"
)

func TestSetupLeavesNothing(t *testing.T) {
	c := dial(t, node(t).URL)
	if err := redisdedup.New(c, nil).Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	if keys, err := c.Keys(t.Context(), "*").Result(); err != nil || len(keys) != 0 {
		t.Errorf("%q, %v; want no key", keys, err)
	}
}

func TestASinkOfAClusterConforms(t *testing.T) {
	_, addrs := cluster(t, 0)
	open := func(t *testing.T) *redis.ClusterClient {
		return closing(t, redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs, ContextTimeoutEnabled: true}))
	}
	c := counters{open(t)}
	if err := redisdedup.New(c.UniversalClient, nil).Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	deduptest.Run(t, deduptest.Harness[*redisdedup.Write]{Open: func(*testing.T) deduptest.Database[*redisdedup.Write] {
		return deduptest.Database[*redisdedup.Write]{
			Sink: func(t *testing.T) dedup.Effects[*redisdedup.Write] { return redisdedup.New(open(t), nil) },
			Add:  c.add, Total: c.total, Refuse: c.refuse,
		}
	}})
}

func TestOneServerOfAClusterThatEvictsIsRefused(t *testing.T) {
	_, addrs := cluster(t, 0)
	s := redisdedup.New(closing(t, redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs, ContextTimeoutEnabled: true})), nil)
	for _, addr := range addrs {
		c := dial(t, "redis://"+addr)
		if err := c.ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lfu").Err(); err != nil {
			t.Fatal(err)
		}
		if err := s.Setup(t.Context()); !errors.Is(err, redisdedup.ErrServer) || !strings.Contains(err.Error(), addr) || !strings.Contains(err.Error(), "set maxmemory-policy noeviction") {
			t.Errorf("%v; want ErrServer, %s and what to set", err, addr)
		}
		if err := c.ConfigSet(t.Context(), "maxmemory-policy", "noeviction").Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheDocumentedPermissionsAreEnoughAndNoneIsTooMuch(t *testing.T) {
	r := node(t)
	admin := dial(t, r.URL)
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?s)ACL SETUSER runnel on >secret (.*?)\n//\n`).FindSubmatch(text)
	if found == nil {
		t.Fatal("doc.go has no ACL SETUSER")
	}
	rules := strings.Fields(strings.NewReplacer("//", "", `\`, "").Replace(string(found[1])))
	setUp := func(skip int) error {
		args := []any{"acl", "setuser", "runnel", "reset", "on", ">secret"}
		for i, rule := range rules {
			if i != skip {
				args = append(args, rule)
			}
		}
		if err := admin.Do(t.Context(), args...).Err(); err != nil {
			t.Fatal(err)
		}
		if err := admin.ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		return redisdedup.New(dial(t, strings.Replace(r.URL, "redis://", "redis://runnel:secret@", 1)), nil).Setup(t.Context())
	}
	if err := setUp(-1); err != nil {
		t.Errorf("with the documented rules: %v", err)
	}
	for i, rule := range rules {
		if strings.HasPrefix(rule, "+") || strings.HasPrefix(rule, "~") {
			if err := setUp(i); !errors.Is(err, redisdedup.ErrDenied) || !strings.Contains(err.Error(), "give the client a user") {
				t.Errorf("without %s: %v; want it denied", rule, err)
			}
		}
	}
}
