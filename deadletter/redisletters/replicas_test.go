//go:build engines

package redisletters_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/deadletter/redisletters"
)

var orders = deadletter.Scope{App: "billing", Stream: "orders"}

// letter makes one of key "k".
func letter(n uint64) deadletter.Letter {
	return deadletter.Letter{Scope: orders, Shard: "shard-0", Position: checkpoint.Offset(n), Key: "k", Payload: []byte("payload")}
}

func ids(t *testing.T, s deadletter.Store) (ids []string) {
	t.Helper()
	for l, err := range s.Read(t.Context(), deadletter.Query{Scope: orders}) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, l.ID())
	}
	return ids
}

// A letter that no replica has is none that a consumer may move on for: not when it is stored, and not when the call is repeated and finds it there.
func TestALetterWaitsForReplicas(t *testing.T) {
	master := node(t)
	replica := node(t, "replicaof", strings.Replace(master.Addr, ":", " ", 1))
	standby := dial(t, replica.URL)
	until(t, "the replica is in step", func(ctx context.Context) error { return inStep(ctx, standby) })
	open := func() *redisletters.Store {
		return redisletters.New(dial(t, master.URL), &redisletters.Config{Replicas: 1})
	}
	s := open()
	until(t, "a replica acknowledges", func(ctx context.Context) error { return s.Setup(ctx) })
	if err := errors.Join(s.Put(t.Context(), []deadletter.Letter{letter(1)}), s.Park(t.Context(), []deadletter.Letter{letter(2)}, true)); err != nil {
		t.Fatal(err)
	}
	if err := standby.Exists(t.Context(), "runnel:letters:{billing/orders}/letter/"+letter(2).ID()).Err(); err != nil {
		t.Error(err)
	}
	if n, err := standby.ZCard(t.Context(), "runnel:letters:{billing/orders}/letters/k").Result(); n != 2 || err != nil {
		t.Errorf("the replica has %d letters, %v; want 2", n, err)
	}

	// It is connected and hears of nothing: as one does that is stopped.
	if err := standby.Do(t.Context(), "client", "pause", 60000, "all").Err(); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func(*redisletters.Store) error{
		"Put":    func(s *redisletters.Store) error { return s.Put(t.Context(), []deadletter.Letter{letter(3)}) },
		"Park":   func(s *redisletters.Store) error { return s.Park(t.Context(), []deadletter.Letter{letter(4)}, true) },
		"follow": func(s *redisletters.Store) error { return s.Park(t.Context(), []deadletter.Letter{letter(5)}, false) },
	} {
		for _, s := range []*redisletters.Store{s, open()} { // the second on a connection that has written nothing
			if err := call(s); err == nil || !strings.Contains(err.Error(), "Config.Replicas") {
				t.Errorf("%s: %v; want an error, for no replica has it", name, err)
			}
		}
	}
	if got := ids(t, s); len(got) != 5 {
		t.Errorf("%q; want five letters, each once", got)
	}
}

func TestWithoutItsReplicasNothingIsAcknowledged(t *testing.T) {
	_, c, prefix := newStore(t)
	s := redisletters.New(c, &redisletters.Config{Prefix: prefix, Replicas: 1})
	for range 2 {
		if err := s.Put(t.Context(), []deadletter.Letter{letter(1)}); err == nil || !strings.Contains(err.Error(), "0 acknowledged") {
			t.Errorf("%v; want an error, for there is no replica", err)
		}
	}
	if got := ids(t, s); len(got) != 1 {
		t.Errorf("%q; want one letter", got)
	}
	if err := s.Park(t.Context(), []deadletter.Letter{letter(2)}, false); !errors.Is(err, deadletter.ErrNotParked) {
		t.Errorf("%v; want deadletter.ErrNotParked", err)
	}
}
