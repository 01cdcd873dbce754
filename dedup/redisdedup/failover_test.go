//go:build engines

package redisdedup_test

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

	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/redisdedup"
	"github.com/runnelhq/runnel/localstack"
)

// pair is a master and a replica in step with it, and a name that leads to the master: clients dial it.
type pair struct {
	master, replica *localstack.Redis
	at              atomic.Pointer[string]
	standby         *redis.Client
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{master: node(t)}
	p.replica = node(t, "replicaof", strings.Replace(p.master.Addr, ":", " ", 1))
	p.at.Store(&p.master.Addr)
	p.standby = dial(t, p.replica.URL)
	until(t, "the replica is in step", func(ctx context.Context) error { return inStep(ctx, p.standby) })
	return p
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

// lag has the replica get all up to now, and nothing more.
func (p *pair) lag(t *testing.T, c *redis.Client) {
	t.Helper()
	if err := c.Set(t.Context(), "last", "1", 0).Err(); err != nil {
		t.Fatal(err)
	}
	until(t, "the replica has the last write", func(ctx context.Context) error { return p.standby.Get(ctx, "last").Err() })
	if err := p.standby.ReplicaOf(t.Context(), "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
}

// follow has the replica hear of its master again.
func (p *pair) follow(t *testing.T) {
	t.Helper()
	host, port, _ := strings.Cut(p.master.Addr, ":")
	if err := p.standby.ReplicaOf(t.Context(), host, port).Err(); err != nil {
		t.Fatal(err)
	}
	until(t, "the replica is in step", func(ctx context.Context) error { return inStep(ctx, p.standby) })
}

// fail kills the master as kill -9 does, promotes the replica and has the name lead there.
func (p *pair) fail(t *testing.T) {
	t.Helper()
	if err := errors.Join(p.master.Close(), p.standby.ReplicaOf(t.Context(), "NO", "ONE").Err()); err != nil {
		t.Fatal(err)
	}
	p.at.Store(&p.replica.Addr)
}

// answered calls until there is no connection left that leads nowhere.
func answered(t *testing.T, call func() error) (err error) {
	t.Helper()
	until(t, "an answer", func(context.Context) error {
		if err = call(); errors.Is(err, dedup.ErrUnavailable) || errors.Is(err, dedup.ErrUnsettled) {
			return err
		}
		return nil
	})
	return err
}

// The named trace: a fail-over forgets effects that the owner was told to be applied, and marks with them. The owner must not go on above them: it is told, seals again, and applies them.
func TestTraceAFailOverForgetsWhatItsOwnerApplied(t *testing.T) {
	for _, scope := range []dedup.Scope{dedup.PerShard, dedup.PerKey} {
		for name, next := range map[string]func(m dedup.Mark) dedup.Mark{
			"its owner": func(m dedup.Mark) dedup.Mark { return m },
			"the next": func(m dedup.Mark) dedup.Mark {
				m.Epoch, m.Session = m.Epoch+1, "next"
				return m
			},
		} {
			t.Run(scope.String()+" "+name, func(t *testing.T) {
				p, m := newPair(t), mark(scope)
				c := p.client(t)
				s := redisdedup.New(c, nil)
				seal(t, s, m, 0)
				apply(t, s, records(m, 1, 3)...)
				advance(t, s, at(m, 3))
				p.lag(t, c)
				apply(t, s, records(m, 4, 6)...)
				apply(t, s, of(m, "other", 7))
				p.fail(t)

				stand(t, p.standby, 1, records(m, 1, 3)...)
				stand(t, p.standby, 0, records(m, 4, 7)...)
				for _, scene := range []dedup.Mark{of(m, "other", 8), of(m, "a third", 9)} {
					if err := answered(t, func() error { return s.Apply(t.Context(), []dedup.Mark{scene}, counting([]dedup.Mark{scene})) }); !errors.Is(err, dedup.ErrNotSealed) {
						t.Fatalf("Apply on a server that has forgotten: %v; want dedup.ErrNotSealed", err)
					}
				}
				for what, err := range map[string]error{
					"Advance":     s.Advance(t.Context(), at(m, 7)),
					"Bury":        s.Bury(t.Context(), records(m, 8, 8)),
					"of a repeat": s.Apply(t.Context(), records(m, 6, 6), counting(records(m, 6, 6))),
					"by another":  redisdedup.New(c, nil).Advance(t.Context(), at(m, 7)),
				} {
					if !errors.Is(err, dedup.ErrNotSealed) {
						t.Errorf("%s: %v; want dedup.ErrNotSealed", what, err)
					}
				}
				n := next(m)
				n.Position = at(m, 7).Position // that of the lease
				seal(t, s, n, 3)
				apply(t, s, records(n, 4, 6)...)
				apply(t, s, of(n, "other", 7), of(n, "other", 8))
				repeats(t, s, records(n, 3, 6)...)
				stand(t, p.standby, 1, records(m, 1, 8)...)
			})
		}
	}
}

// The seal of an epoch is forgotten: neither its owner nor the one before writes until one of them has sealed again.
func TestAFailOverForgetsASeal(t *testing.T) {
	for _, scope := range []dedup.Scope{dedup.PerShard, dedup.PerKey} {
		p, m := newPair(t), mark(scope)
		c := p.client(t)
		s, other := redisdedup.New(c, nil), redisdedup.New(c, nil)
		seal(t, s, m, 0)
		apply(t, s, at(m, 1))
		p.lag(t, c)
		n := m
		n.Epoch, n.Session = 2, "next"
		low := uint64(0)
		if scope == dedup.PerShard {
			low = 1
		}
		seal(t, other, n, low)
		apply(t, other, at(n, 2))
		p.fail(t)
		for _, call := range []func() error{
			func() error { return other.Apply(t.Context(), records(n, 3, 3), counting(records(n, 3, 3))) },
			func() error { return s.Apply(t.Context(), records(m, 2, 2), counting(records(m, 2, 2))) },
		} {
			if err := answered(t, call); !errors.Is(err, dedup.ErrNotSealed) {
				t.Errorf("%v; want dedup.ErrNotSealed", err)
			}
		}
		seal(t, other, n, low)
		apply(t, other, records(n, 2, 3)...)
		refuses(t, s, dedup.ErrFenced, at(m, 2))
		stand(t, p.standby, 1, records(m, 1, 3)...)
	}
}

func TestARestartWithoutPersistenceIsTold(t *testing.T) {
	m := mark(dedup.PerShard)
	r := node(t)
	c := dial(t, r.URL)
	s := redisdedup.New(c, nil)
	seal(t, s, m, 0)
	apply(t, s, at(m, 1))
	if err := r.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := answered(t, func() error { return s.Apply(t.Context(), records(m, 2, 2), counting(records(m, 2, 2))) })
	if !errors.Is(err, dedup.ErrNotSealed) {
		t.Errorf("%v; want dedup.ErrNotSealed", err)
	}
	seal(t, s, at(m, 1), 1) // nothing knows better than the lease
	apply(t, s, at(m, 2))
}

// A server that says it is the same, and holds less than it acknowledged, has forgotten too.
func TestALowBelowWhatWasAcknowledgedIsTold(t *testing.T) {
	for _, scope := range []dedup.Scope{dedup.PerShard, dedup.PerKey} {
		m := mark(scope)
		s, c := newSink(t, m)
		apply(t, s, records(m, 1, 3)...)
		advance(t, s, at(m, 3))
		two := at(m, 2).Position
		if err := c.HSet(t.Context(), key(m, "seal"), "low", two.Sort(), "position", two.String()).Err(); err != nil {
			t.Fatal(err)
		}
		refuses(t, s, dedup.ErrNotSealed, at(m, 4))
		refuses(t, s, dedup.ErrNotSealed, at(m, 3))
		if err := s.Advance(t.Context(), at(m, 4)); !errors.Is(err, dedup.ErrNotSealed) {
			t.Errorf("Advance: %v; want dedup.ErrNotSealed", err)
		}
		seal(t, s, m, 2)
		apply(t, s, at(m, 3))
	}
}

const masterName = "effects"

// An owner sees a fail-over of Sentinel and of a cluster through.
func TestAFailOverOfSentinelIsSeenThrough(t *testing.T) {
	p := newPair(t)
	var addrs []string
	for range 3 {
		s := node(t, "sentinel", "monitor "+masterName+" "+strings.Replace(p.master.Addr, ":", " ", 1)+" 2",
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
	c := closing(t, redis.NewFailoverClient(&redis.FailoverOptions{MasterName: masterName, SentinelAddrs: addrs, ContextTimeoutEnabled: true}))
	goOn(t, c, func(string) *localstack.Redis { return p.master })
}

func TestAFailOverInAClusterIsSeenThrough(t *testing.T) {
	nodes, addrs := cluster(t, 3)
	c := closing(t, redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs, ContextTimeoutEnabled: true}))
	goOn(t, c, func(addr string) *localstack.Redis {
		return nodes[slices.IndexFunc(nodes, func(n *localstack.Redis) bool { return n.Addr == addr })]
	})
}

// goOn has the owner of a shard see the end of the master that has it.
func goOn(t *testing.T, c redis.UniversalClient, at func(addr string) *localstack.Redis) {
	t.Helper()
	m := mark(dedup.PerKey)
	s := redisdedup.New(c, &redisdedup.Config{Replicas: 1})
	until(t, "a replica acknowledges", s.Setup)
	seal(t, s, m, 0)
	var addr string
	if c, ok := c.(*redis.ClusterClient); ok {
		master, err := c.MasterForKey(t.Context(), key(m, "seal"))
		if err != nil {
			t.Fatal(err)
		}
		addr = master.Options().Addr
	}
	apply(t, s, records(m, 1, 20)...)
	if err := at(addr).Close(); err != nil {
		t.Fatal(err)
	}
	after := redisdedup.New(c, nil) // the one replica is the master by now
	call := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		return after.Advance(ctx, records(m, 20, 20)[0])
	}
	if err := answered(t, call); !errors.Is(err, dedup.ErrNotSealed) {
		t.Fatalf("%v; want dedup.ErrNotSealed", err)
	}
	n := m
	n.Epoch = 2
	seal(t, after, n, 0)
	repeats(t, after, records(n, 1, 20)...)
	apply(t, after, records(n, 21, 40)...)
	stand(t, c, 1, records(m, 1, 40)...)
}
