//go:build engines

package redislease_test

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/redislease"
)

func TestSetupLeavesNothing(t *testing.T) {
	c := dial(t, node(t).URL)
	if err := redislease.New(c, nil).Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	if keys, err := c.Keys(t.Context(), "*").Result(); err != nil || len(keys) != 1 || keys[0] != "runnel:{W}/cursor" {
		t.Errorf("%q, %v; want no key but the counter", keys, err)
	}
}

func TestAServerThatEvictsIsRefused(t *testing.T) {
	c := dial(t, node(t).URL)
	s := redislease.New(c, nil)
	for _, policy := range []string{"allkeys-lru", "volatile-ttl"} {
		if err := c.ConfigSet(t.Context(), "maxmemory-policy", policy).Err(); err != nil {
			t.Fatal(err)
		}
		if err := s.Setup(t.Context()); !errors.Is(err, lease.ErrTable) || !strings.Contains(err.Error(), policy) || !strings.Contains(err.Error(), "set maxmemory-policy noeviction") {
			t.Errorf("%v; want lease.ErrTable, what there is and what to set", err)
		}
	}
}

func TestOneServerOfAClusterThatEvictsIsRefused(t *testing.T) {
	_, addrs := cluster(t, 0)
	s := redislease.New(closing(t, redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs, ContextTimeoutEnabled: true})), nil)
	if err := s.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, addr := range addrs {
		c := dial(t, "redis://"+addr)
		if err := c.ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lfu").Err(); err != nil {
			t.Fatal(err)
		}
		if err := s.Setup(t.Context()); !errors.Is(err, lease.ErrTable) || !strings.Contains(err.Error(), addr) {
			t.Errorf("%v; want lease.ErrTable and %s", err, addr)
		}
		if err := c.ConfigSet(t.Context(), "maxmemory-policy", "noeviction").Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWrongCredentialsAreDenied(t *testing.T) {
	r := node(t, "requirepass", "secret")
	for name, c := range map[string]*redis.Client{
		"none":  dial(t, r.URL),
		"wrong": dial(t, r.URL, func(o *redis.Options) { o.Password = "guess" }),
	} {
		s := redislease.New(c, nil)
		if err := s.Setup(t.Context()); !errors.Is(err, lease.ErrDenied) {
			t.Errorf("%s: Setup: %v; want lease.ErrDenied", name, err)
		}
		if errs := s.Put(t.Context(), []lease.Row{row("a/row", 0)}); len(errs) != 1 || !errors.Is(errs[0], lease.ErrDenied) || errors.Is(errs[0], lease.ErrConflict) {
			t.Errorf("%s: Put: %v; want lease.ErrDenied", name, errs)
		}
		if _, err := s.Get(t.Context(), []string{"a/row"}); !errors.Is(err, lease.ErrDenied) {
			t.Errorf("%s: Get: %v; want lease.ErrDenied", name, err)
		}
		for _, err := range s.List(t.Context(), "a/", "") {
			if !errors.Is(err, lease.ErrDenied) {
				t.Errorf("%s: List: %v; want lease.ErrDenied", name, err)
			}
		}
		if _, err := s.History(t.Context(), []string{"a/"}); !errors.Is(err, lease.ErrDenied) {
			t.Errorf("%s: History: %v; want lease.ErrDenied", name, err)
		}
	}
	if err := redislease.New(dial(t, r.URL, func(o *redis.Options) { o.Password = "secret" }), nil).Setup(t.Context()); err != nil {
		t.Error(err)
	}
}

// documented are the rules of the package's documentation.
func documented(t *testing.T) (rules []string) {
	t.Helper()
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?s)ACL SETUSER runnel on >secret (.*?)\n//\n`).FindSubmatch(text)
	if found == nil {
		t.Fatal("doc.go has no ACL SETUSER")
	}
	return strings.Fields(strings.NewReplacer("//", "", `\`, "").Replace(string(found[1])))
}

// extra are what a client of a cluster, and Config.Replicas, need too, in the words of the documentation.
var extra = map[string][]string{"cluster": {"+cluster|slots", "+command"}, "replicas": {"+wait"}}

func TestTheDocumentedPermissionsAreEnoughAndNoneIsTooMuch(t *testing.T) {
	p := newPair(t)
	nodes, addrs := cluster(t, 0)
	work := func(c redis.UniversalClient, replicas int) error {
		s := redislease.New(c, &redislease.Config{Replicas: replicas})
		if err := s.Setup(t.Context()); err != nil {
			return err
		}
		errs := s.Put(t.Context(), []lease.Row{row("a/row", 0), row("W/one", 0)})
		errs = append(errs, s.Delete(t.Context(), []lease.Row{row("a/row", 1), row("W/one", 1)})...)
		_, err := s.History(t.Context(), []string{"a/", "W/"})
		return errors.Join(append(errs, err)...)
	}
	user := func(urls []string, rules []string) {
		t.Helper()
		for _, url := range urls {
			args := []any{"acl", "setuser", "runnel", "reset", "on", ">secret"}
			for _, rule := range rules {
				args = append(args, rule)
			}
			if err := dial(t, url).Do(t.Context(), args...).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	single := func() error {
		return work(dial(t, p.master.URL, func(o *redis.Options) { o.Username, o.Password = "runnel", "secret" }), 0)
	}
	rules := documented(t)
	user([]string{p.master.URL}, rules)
	if err := single(); err != nil {
		t.Errorf("with the documented rules: %v", err)
	}
	for i, rule := range rules {
		if !strings.HasPrefix(rule, "+") && !strings.HasPrefix(rule, "~") || rule == "+hscan" { // wanted for keys that somebody broke
			continue
		}
		user([]string{p.master.URL}, append(append([]string{}, rules[:i]...), rules[i+1:]...))
		if err := dial(t, p.master.URL).ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		if err := single(); !errors.Is(err, lease.ErrDenied) {
			t.Errorf("without %s: %v; want lease.ErrDenied", rule, err)
		}
	}

	user([]string{p.master.URL}, append(rules, extra["replicas"]...))
	if err := work(dial(t, p.master.URL, func(o *redis.Options) { o.Username, o.Password = "runnel", "secret" }), 1); err != nil {
		t.Errorf("with Config.Replicas: %v", err)
	}

	var urls []string
	for _, n := range nodes {
		urls = append(urls, n.URL)
	}
	user(urls, append(rules, extra["cluster"]...))
	if err := work(closing(t, redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: addrs, Username: "runnel", Password: "secret", ContextTimeoutEnabled: true,
	})), 0); err != nil {
		t.Errorf("on a cluster: %v", err)
	}
	for _, rules := range extra {
		for _, rule := range rules {
			if text, err := os.ReadFile("doc.go"); err != nil || !strings.Contains(string(text), rule) {
				t.Errorf("doc.go does not name %s: %v", rule, err)
			}
		}
	}
}

// Two prefixes share a server and no row, as two databases do.
func TestPrefixesShareNothing(t *testing.T) {
	c := dial(t, server.URL)
	one, two := newPrefix(t, c), newPrefix(t, c)
	a, b := redislease.New(c, &redislease.Config{Prefix: one}), redislease.New(c, &redislease.Config{Prefix: two})
	put(t, a, row("a/row", 0))
	if v := get(t, b, "a/row").Version; v != 0 {
		t.Errorf("the row of one prefix has version %d in another", v)
	}
	keys, err := c.Keys(t.Context(), one+"*").Result()
	if err != nil || len(keys) != 3 {
		t.Errorf("%q, %v; want rows, changes and the counter", keys, err)
	}
	for _, key := range keys {
		if !strings.HasPrefix(key, one+"{a}/") {
			t.Error(key)
		}
	}
}

// What an operator reads, as the package's documentation says.
func TestAnOperatorReadsRowsAsText(t *testing.T) {
	r := node(t)
	c := dial(t, r.URL)
	s := redislease.New(c, nil)
	for version := range uint64(2) {
		put(t, s, lease.Row{Key: "orders-index/S/inc/shard-0", Version: version, Value: []byte(`{"owner":"a"}`)})
	}
	got, err := c.HGetAll(t.Context(), "runnel:{orders-index}/S/inc/").Result()
	want := fmt.Sprintf(`2 %s {"owner":"a"}`, get(t, s, "orders-index/S/inc/shard-0").Cursor)
	if err != nil || len(got) != 1 || got["shard-0"] != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}
