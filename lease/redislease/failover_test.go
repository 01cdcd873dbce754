//go:build engines

package redislease_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/redislease"
	"github.com/runnelhq/runnel/localstack"
)

// replicaof is the setting that makes a replica of r.
func replicaof(t *testing.T, r *localstack.Redis) string {
	t.Helper()
	host, port, err := net.SplitHostPort(r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	return host + " " + port
}

// pair is a master and a replica in step with it, and a name that leads to the master: clients dial it.
type pair struct {
	master, replica *localstack.Redis
	at              atomic.Pointer[string]
	standby         *redis.Client
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{master: node(t)}
	p.replica = node(t, "replicaof", replicaof(t, p.master))
	p.at.Store(&p.master.Addr)
	p.standby = dial(t, p.replica.URL)
	p.inStep(t)
	return p
}

func (p *pair) inStep(t *testing.T) {
	t.Helper()
	until(t, "the replica is in step", func(ctx context.Context) error { return inStep(ctx, p.standby) })
}

// client dials the name.
func (p *pair) client(t *testing.T) *redis.Client {
	t.Helper()
	return dial(t, p.master.URL, func(o *redis.Options) {
		o.Dialer = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, *p.at.Load())
		}
	})
}

// lag has the replica hear of nothing more.
func (p *pair) lag(t *testing.T) {
	t.Helper()
	if err := p.standby.ReplicaOf(t.Context(), "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
}

// fail kills the master as kill -9 does, promotes the replica and has the name lead there.
func (p *pair) fail(t *testing.T) {
	t.Helper()
	if err := errors.Join(p.master.Close(), p.standby.ReplicaOf(t.Context(), "NO", "ONE").Err()); err != nil {
		t.Fatal(err)
	}
	p.at.Store(&p.replica.Addr)
}

// history is that of the groups that the tests use.
func history(t *testing.T, s *redislease.Store) string {
	t.Helper()
	var h string
	until(t, "History", func(ctx context.Context) (err error) {
		h, err = s.History(ctx, []string{"W/", "a/"})
		return err
	})
	return h
}

// A take that the old master acknowledged and the new one never heard of.
func TestAFailOverThatForgetsWritesChangesTheHistory(t *testing.T) {
	p := newPair(t)
	s := redislease.New(p.client(t), nil)
	if err := s.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, s, row("a/row", 0), row("a/other", 0))
	before := history(t, s)
	p.inStep(t)
	until(t, "the replica has the rows", func(ctx context.Context) error {
		if n, err := p.standby.HLen(ctx, "runnel:{a}/").Result(); n != 2 || err != nil {
			return fmt.Errorf("%d, %w", n, err)
		}
		return nil
	})
	p.lag(t)
	put(t, s, row("a/row", 1))
	put(t, s, row("a/row", 2), row("a/new", 0))
	forgotten := get(t, s, "a/new")
	if h := history(t, s); h != before {
		t.Errorf("the history was %s and is %s while the master stays", before, h)
	}
	p.fail(t)

	if after := history(t, s); after == before {
		t.Errorf("the history is %s on the old master and on the new one", after)
	}
	if v := get(t, s, "a/row").Version; v != 1 {
		t.Fatalf("version %d; want 1, for the test is about writes that were lost", v)
	}
	for _, r := range []lease.Row{row("a/row", 3), row("a/new", 1)} {
		if errs := s.Put(t.Context(), []lease.Row{r}); len(errs) != 1 || !errors.Is(errs[0], lease.ErrConflict) {
			t.Errorf("%s at version %d, which was forgotten: %v; want lease.ErrConflict", r.Key, r.Version, errs)
		}
	}
	put(t, s, row("a/row", 1)) // the epoch that was handed out before
	if _, ok := listed(t, s, "a/", forgotten.Cursor)["a/row"]; !ok {
		t.Error("a change of the new history is not listed after a cursor of the forgotten one")
	}
}

func TestARestartWithoutPersistenceChangesTheHistory(t *testing.T) {
	r := node(t)
	s := redislease.New(dial(t, r.URL), nil)
	put(t, s, row("a/row", 0))
	before := history(t, s)
	if err := r.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := history(t, s); after == before {
		t.Errorf("the history is %s before and after", after)
	}
	if v := get(t, s, "a/row").Version; v != 0 {
		t.Fatalf("version %d; want none, for the test is about rows that were lost", v)
	}
	if errs := s.Put(t.Context(), []lease.Row{row("a/row", 1)}); len(errs) != 1 || !errors.Is(errs[0], lease.ErrConflict) {
		t.Errorf("%v; want lease.ErrConflict", errs)
	}
}

// Nothing is lost, and none can tell.
func TestAPlannedFailOverChangesTheHistoryToo(t *testing.T) {
	p := newPair(t)
	s := redislease.New(p.client(t), nil)
	put(t, s, row("a/row", 0))
	before := history(t, s)
	c := dial(t, p.master.URL)
	until(t, "the master knows that the replica is in step", func(ctx context.Context) error {
		info, err := c.Info(ctx, "replication").Result()
		if err == nil && !strings.Contains(field(info, "slave0"), "state=online") { // its first word of how far it has come is not in
			err = errors.New(info)
		}
		return err
	})
	if err := c.Do(t.Context(), "failover", "to", "127.0.0.1", strings.TrimPrefix(p.replica.Addr, "127.0.0.1:")).Err(); err != nil {
		t.Fatal(err)
	}
	until(t, "the replica is master", func(ctx context.Context) error {
		info, err := p.standby.Info(ctx, "replication").Result()
		if err == nil && field(info, "role") != "master" {
			err = errors.New(info)
		}
		return err
	})
	if _, err := s.History(t.Context(), []string{"a/"}); err == nil || !strings.Contains(err.Error(), "no master") {
		t.Errorf("the history of a replica: %v; want an error, for it is not known what the master has", err)
	}
	p.at.Store(&p.replica.Addr)
	s = redislease.New(p.client(t), nil)
	if after := history(t, s); after == before {
		t.Errorf("the history is %s before and after", after)
	}
	if v := get(t, s, "a/row").Version; v != 1 {
		t.Errorf("version %d; want 1", v)
	}
}

const masterName = "leases"

// sentinels starts a trio that watches a pair.
func sentinels(t *testing.T, p *pair) (addrs []string) {
	t.Helper()
	for range 3 {
		s := node(t, "sentinel", "monitor "+masterName+" "+replicaof(t, p.master)+" 2",
			"sentinel", "down-after-milliseconds "+masterName+" 500", "sentinel", "failover-timeout "+masterName+" 3000")
		addrs = append(addrs, s.Addr)
	}
	for _, addr := range addrs {
		c := closing(t, redis.NewSentinelClient(&redis.Options{Addr: addr}))
		until(t, "the sentinels know each other and the replica", func(ctx context.Context) error {
			m, err := c.Master(ctx, masterName).Result()
			if err == nil && (m["num-other-sentinels"] != "2" || m["num-slaves"] != "1") {
				err = fmt.Errorf("%v", m)
			}
			return err
		})
	}
	return addrs
}

// Workers see a fail-over through, and handle what comes after it.
func TestWorkersGoOnAfterAFailOverOfSentinel(t *testing.T) {
	p := newPair(t)
	addrs := sentinels(t, p)
	goOn(t, func() redis.UniversalClient {
		return redis.NewFailoverClient(&redis.FailoverOptions{MasterName: masterName, SentinelAddrs: addrs, ContextTimeoutEnabled: true})
	}, func(string) *localstack.Redis { return p.master })
}

func TestWorkersGoOnAfterAFailOverInACluster(t *testing.T) {
	nodes, addrs := cluster(t, 3)
	goOn(t, func() redis.UniversalClient {
		return redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs, ContextTimeoutEnabled: true})
	}, func(addr string) *localstack.Redis {
		return nodes[slices.IndexFunc(nodes, func(n *localstack.Redis) bool { return n.Addr == addr })]
	})
}

// goOn has two workers see the end of the master that has the rows of sessions.
func goOn(t *testing.T, client func() redis.UniversalClient, at func(addr string) *localstack.Redis) {
	t.Helper()
	c := closing(t, client())
	s := redislease.New(c, nil)
	before := history(t, s)
	f := newFleet(t, func() *redislease.Store { return redislease.New(closing(t, client()), nil) })
	one, two := f.join("one"), f.join("two")
	f.until("two shards of each", func() bool { return len(one.Status().Shards) == 2 && len(two.Status().Shards) == 2 })
	f.put("before", 40)
	if err := at(masterOf(t, c, "runnel:{W}/")).Close(); err != nil {
		t.Fatal(err)
	}
	f.put("after", 40)
	if after := history(t, s); after == before {
		t.Errorf("the history is %s before and after", after)
	}
	one.leave(t)
	two.leave(t)
}

// masterOf is the address of a key's master in a cluster.
func masterOf(t *testing.T, c redis.UniversalClient, key string) (addr string) {
	t.Helper()
	if c, ok := c.(*redis.ClusterClient); ok {
		master, err := c.MasterForKey(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		addr = master.Options().Addr
	}
	return addr
}

func TestAFailOverInAClusterChangesTheHistory(t *testing.T) {
	nodes, addrs := cluster(t, 3)
	c := closing(t, redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs, ContextTimeoutEnabled: true}))
	s := redislease.New(c, nil)
	if err := s.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, s, row("a/row", 0), row("W/one", 0))
	of := func(groups ...string) (h string) {
		until(t, "History", func(ctx context.Context) (err error) {
			h, err = s.History(ctx, groups)
			return err
		})
		return h
	}
	sessions := of("W/")
	application := ""
	for i := 0; application == "" || application == "a/"; i++ { // one that another master has
		if group := fmt.Sprintf("app-%d/", i); of(group) != sessions {
			application = group
		}
	}
	elsewhere, both := of(application), of(application, "W/")
	dying := slices.Index(addrs, masterOf(t, c, "runnel:{W}/"))
	if err := nodes[dying].Close(); err != nil {
		t.Fatal(err)
	}
	until(t, "a write of a session", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		return errors.Join(s.Put(ctx, []lease.Row{row(fmt.Sprintf("W/%d", time.Now().UnixNano()), 0)})...)
	})
	if after := of("W/"); after == sessions {
		t.Errorf("the history of the sessions is %s before and after", after)
	}
	if after := of(application); after != elsewhere {
		t.Errorf("the history of %s was %s and is %s, though its master stays", application, elsewhere, after)
	}
	if after := of(application, "W/"); after == both {
		t.Errorf("the history of both groups is %s before and after", after)
	}
}
