//go:build engines

package localstack

import (
	"net/url"
	"testing"

	"github.com/redis/go-redis/v9"
)

// redisClient makes a client of r.
func redisClient(t *testing.T, r *Redis) *redis.Client {
	t.Helper()
	o, err := redis.ParseURL(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(o)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func ownRedis(t *testing.T, settings ...string) *Redis {
	t.Helper()
	r, err := StartRedisNode(t.Context(), Options{}, settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func TestRedisServesAndLeavesNothingBehind(t *testing.T) {
	t.Setenv(redisVariable, "")
	dir := temporary(t)
	r, err := StartRedis(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := redisClient(t, r)
	if err := c.Set(t.Context(), "key", "value", 0).Err(); err != nil {
		t.Error(err)
	}
	for setting, want := range map[string]string{"maxmemory-policy": "noeviction", "appendonly": "no", "save": ""} {
		if got, err := c.ConfigGet(t.Context(), setting).Result(); err != nil || got[setting] != want {
			t.Errorf("%s is %q, %v; want %q", setting, got[setting], err, want)
		}
	}
	onLoopbackAlone(t, r.URL)
	if len(mentioning(t, dir)) == 0 {
		t.Error("it does not run in its folder")
	}
	for range 2 {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if got := mentioning(t, dir); len(got) != 0 {
		t.Errorf("left behind: %q", got)
	}
	empty(t, dir)
}

func TestARestartedRedisIsEmptyAndWhereItWas(t *testing.T) {
	r := ownRedis(t)
	c, url := redisClient(t, r), r.URL
	if err := c.Set(t.Context(), "key", "value", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := r.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := c.DBSize(t.Context()).Result(); n != 0 || err != nil || r.URL != url {
		t.Errorf("it has %d keys, %v, and is at %s; want none, at %s", n, err, r.URL, url)
	}
}

func TestTheRedisOfTheEnvironmentIsUsedAndLeft(t *testing.T) {
	own := ownRedis(t, "requirepass", "secret")
	u, err := url.Parse(own.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User, u.Path = url.UserPassword("default", "secret"), "/3"
	t.Setenv(redisVariable, u.String())
	r, err := StartRedis(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := redisClient(t, r)
	if err := c.Set(t.Context(), "key", "value", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Get(t.Context(), "key").Result(); got != "value" || err != nil || r.Addr != own.Addr {
		t.Errorf("%q, %v, at %s; want what was stored, at %s", got, err, r.Addr, own.Addr)
	}
}

func TestASettingThatRedisRefusesIsShown(t *testing.T) {
	_, err := StartRedisNode(t.Context(), Options{}, "no-such-setting", "1")
	if err == nil || !containsText(err, "no-such-setting") {
		t.Errorf("%v; want what it printed", err)
	}
}
