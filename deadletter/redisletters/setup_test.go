//go:build engines

package redisletters_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/runnelhq/runnel/deadletter/redisletters"
)

func TestSetupLeavesNothing(t *testing.T) {
	c := dial(t, node(t).URL)
	if err := redisletters.New(c, nil).Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	if keys, err := c.Keys(t.Context(), "*").Result(); err != nil || len(keys) != 1 || keys[0] != "runnel:letters:{/setup}/seq" {
		t.Errorf("%q, %v; want no key but the counter", keys, err)
	}
}

func TestOneServerOfAClusterThatEvictsIsRefused(t *testing.T) {
	addrs := cluster(t, 0)
	s := redisletters.New(closing(t, redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs, ContextTimeoutEnabled: true})), nil)
	if err := s.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, addr := range addrs {
		c := dial(t, "redis://"+addr)
		if err := c.ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lfu").Err(); err != nil {
			t.Fatal(err)
		}
		if err := s.Setup(t.Context()); err == nil || !strings.Contains(err.Error(), addr) || !strings.Contains(err.Error(), "set maxmemory-policy noeviction") {
			t.Errorf("%v; want %s and what to set", err, addr)
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
		return redisletters.New(dial(t, strings.Replace(r.URL, "redis://", "redis://runnel:secret@", 1)), nil).Setup(t.Context())
	}
	if err := setUp(-1); err != nil {
		t.Errorf("with the documented rules: %v", err)
	}
	for i, rule := range rules {
		if strings.HasPrefix(rule, "+") || strings.HasPrefix(rule, "~") {
			if err := setUp(i); err == nil || !strings.Contains(err.Error(), "give the client a user") {
				t.Errorf("without %s: %v; want it denied", rule, err)
			}
		}
	}
}
