package localstack

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func containsText(err error, text string) bool { return strings.Contains(err.Error(), text) }

func TestMissingRedisNamesTheCommand(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv(redisVariable, "")
	_, err := StartRedis(t.Context(), Options{})
	if !errors.Is(err, ErrMissing) || !containsText(err, "run: make engines") {
		t.Errorf("got %v", err)
	}
}

func TestDeadRedisOfTheEnvironmentIsNamed(t *testing.T) {
	t.Setenv(redisVariable, "redis://127.0.0.1:1/2")
	_, err := StartRedis(t.Context(), Options{Timeout: 100 * time.Millisecond})
	if err == nil || !containsText(err, "127.0.0.1:1") {
		t.Errorf("got %v", err)
	}
	t.Setenv(redisVariable, "http://127.0.0.1:1")
	if _, err := StartRedis(t.Context(), Options{}); err == nil || !containsText(err, redisVariable) {
		t.Errorf("got %v", err)
	}
}

func TestSettingsOfRedisArePairs(t *testing.T) {
	if _, err := StartRedisNode(t.Context(), Options{}, "maxmemory"); err == nil {
		t.Error("no error")
	}
}
