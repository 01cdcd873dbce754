//go:build engines

package redisdedup_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/localstack"
)

// until waits for ok.
func until(t *testing.T, what string, ok func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		err := ok(ctx)
		if err == nil {
			return
		}
		if backoff.Wait(ctx, 20*time.Millisecond) != nil {
			t.Fatalf("%s: not within 30 s: %v", what, err)
		}
	}
}

const slots = 16384

// cluster starts three masters, each with a third of the slots, and replicas of them in turn.
func cluster(t *testing.T, replicas int) (nodes []*localstack.Redis, addrs []string) {
	t.Helper()
	const masters = 3
	settings := []string{"cluster-enabled", "yes", "cluster-node-timeout", "1000", "cluster-replica-validity-factor", "0"}
	var clients []*redis.Client
	for range masters + replicas {
		n := node(t, settings...)
		nodes, addrs = append(nodes, n), append(addrs, n.Addr)
		clients = append(clients, dial(t, n.URL))
	}
	ctx := t.Context()
	try := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range clients {
		try(c.Do(ctx, "cluster", "set-config-epoch", i+1).Err())
		if i < masters {
			try(c.ClusterAddSlotsRange(ctx, i*slots/masters, (i+1)*slots/masters-1).Err())
		}
	}
	host, port, err := net.SplitHostPort(addrs[0])
	try(err)
	bus, err := clients[0].ConfigGet(ctx, "cluster-port").Result()
	try(err)
	for _, c := range clients[1:] {
		try(c.Do(ctx, "cluster", "meet", host, port, bus["cluster-port"]).Err())
	}
	known := func(ctx context.Context) error {
		for _, c := range clients {
			info, err := c.ClusterInfo(ctx).Result()
			if err != nil {
				return err
			}
			if field(info, "cluster_state") != "ok" || field(info, "cluster_known_nodes") != fmt.Sprint(len(clients)) {
				return fmt.Errorf("%s", info)
			}
		}
		return nil
	}
	until(t, "the cluster is one", known)
	for i, c := range clients[masters:] {
		master, err := clients[i%masters].Do(ctx, "cluster", "myid").Text()
		try(err)
		try(c.ClusterReplicate(ctx, master).Err())
		until(t, "a replica is in step", func(ctx context.Context) error { return inStep(ctx, c) })
	}
	return nodes, addrs
}

// field is a line's value in the answer of INFO and the like.
func field(info, name string) string {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// inStep is nil for a replica that has what its master wrote.
func inStep(ctx context.Context, replica *redis.Client) error {
	info, err := replica.Info(ctx, "replication").Result()
	if err == nil && (field(info, "role") != "slave" || field(info, "master_link_status") != "up") {
		err = fmt.Errorf("%s", info)
	}
	return err
}
