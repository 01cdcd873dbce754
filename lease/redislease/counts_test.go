//go:build engines

package redislease_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/redislease"
)

// counter counts the commands that a client sends. It is a hook of it.
type counter struct {
	mu   sync.Mutex
	sent []string
}

func (c *counter) note(cmds ...redis.Cmder) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cmd := range cmds {
		c.sent = append(c.sent, cmd.Name())
	}
}

// of are the commands of f.
func (c *counter) of(f func()) []string {
	c.mu.Lock()
	c.sent = nil
	c.mu.Unlock()
	f()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent
}

func (c *counter) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (c *counter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.note(cmd)
		return next(ctx, cmd)
	}
}

func (c *counter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.note(cmds...)
		return next(ctx, cmds)
	}
}

// many are n new rows of a group, with values of a size.
func many(group string, n, size int) []lease.Row {
	rows := make([]lease.Row, n)
	for i := range rows {
		rows[i] = lease.Row{Key: fmt.Sprintf("%s%05d", group, i), Value: []byte(strings.Repeat("x", size))}
	}
	return rows
}

// The figures that the package's documentation gives.
func TestCommandsOfAnOperation(t *testing.T) {
	s, c := newStore(t, redislease.Config{})
	count := &counter{}
	c.AddHook(count)
	var keys []string
	for _, r := range many("many/", 201, 1) {
		keys = append(keys, r.Key)
	}
	quiet := row("a/1", 1)
	quiet.Cursor = "kept"
	after := ""
	list := func(group, after string) func() { return func() { listed(t, s, group, after) } }
	for _, c := range []struct {
		what string
		want int
		f    func()
	}{
		{"a Put of three new rows in two groups", 1, func() { put(t, s, row("a/1", 0), row("a/2", 0), row("a/b/3", 0)) }},
		{"a Put that keeps the cursor", 1, func() { put(t, s, quiet) }},
		{"a Put of two applications", 2, func() { put(t, s, row("b/1", 0), row("W/1", 0), row("b/2", 0)) }},
		{"a Put of 201 rows", 3, func() { put(t, s, many("many/", 201, 1)...) }},
		{"a Put of 9 rows of 300 KB", 3, func() { put(t, s, many("large/", 9, 300<<10)...) }},
		{"a conflict", 1, func() { s.Delete(t.Context(), []lease.Row{row("a/1", 9)}) }},
		{"a Delete", 1, func() { s.Delete(t.Context(), []lease.Row{row("a/2", 1)}) }},
		{"a Get of 201 keys", 3, func() {
			if _, err := s.Get(t.Context(), keys); err != nil {
				t.Fatal(err)
			}
		}},
		{"a Get of two groups", 1, func() {
			if _, err := s.Get(t.Context(), []string{"a/1", "a/b/3"}); err != nil {
				t.Fatal(err)
			}
		}},
		{"a List", 1, list("a/", "")},
		{"a List of 201 rows", 3, list("many/", "")},
		{"a List of 9 rows of 300 KB", 3, list("large/", "")},
		{"a List by cursor without a change", 1, func() { list("many/", after)() }},
		{"History", 1, func() {
			if _, err := s.History(t.Context(), []string{"a/", "W/"}); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		if after == "" {
			for _, r := range listed(t, s, "many/", "") {
				after = max(after, r.Cursor)
			}
		}
		got := count.of(c.f)
		for i := 1; i < len(got); i++ { // the first of a kind is sent again, in full
			if got[i] == "eval" {
				got = append(got[:i-1], got[i:]...)
			}
		}
		if len(got) != c.want {
			t.Errorf("%s: %q; want %d commands", c.what, got, c.want)
		}
	}
}

// What a listing by cursor costs the server is what changed, however large the group is.
func TestAListingByCursorReadsTheChangesAlone(t *testing.T) {
	r := node(t)
	c := dial(t, r.URL)
	s := redislease.New(c, nil)
	put(t, s, many("many/", 1000, 10)...)
	after := ""
	for _, r := range listed(t, s, "many/", "") {
		after = max(after, r.Cursor)
	}
	changed := many("many/", 3, 20)
	for i := range changed {
		changed[i].Version = 1
	}
	put(t, s, changed...)
	if err := c.ConfigResetStat(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if rows := listed(t, s, "many/", after); len(rows) != 3 {
		t.Errorf("%d rows; want 3", len(rows))
	}
	info, err := c.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	if got := field(info, "cmdstat_hget"); !strings.HasPrefix(got, "calls=3,") {
		t.Errorf("reads of entries: %s; want 3", got)
	}
	if got := field(info, "cmdstat_hscan"); got != "" {
		t.Errorf("scans: %s; want none", got)
	}
}
