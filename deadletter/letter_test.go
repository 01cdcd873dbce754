package deadletter_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/deadletter"
)

var (
	scope     = deadletter.Scope{App: "billing", Stream: "orders"}
	errPoison = errors.New("poison")
	errDown   = errors.New("the store is down")
)

func letter(key string, n uint64) deadletter.Letter {
	return deadletter.Letter{Scope: scope, Shard: "shard " + key, Position: checkpoint.Offset(n), Key: key, Payload: fmt.Appendf(nil, "%s%d", key, n)}
}

func letters(key string, n uint64) (ls []deadletter.Letter) {
	for i := range n {
		ls = append(ls, letter(key, i+1))
	}
	return ls
}

func park(t *testing.T, s deadletter.Store, ls ...deadletter.Letter) {
	t.Helper()
	if err := s.Park(t.Context(), ls, true); err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, s deadletter.Store, ls ...deadletter.Letter) {
	t.Helper()
	if err := s.Put(t.Context(), ls); err != nil {
		t.Fatal(err)
	}
}

// left are the payloads of the letters that are stored.
func left(t *testing.T, s deadletter.Store) string {
	t.Helper()
	var all []string
	for l, err := range s.Read(context.WithoutCancel(t.Context()), deadletter.Query{Scope: scope}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(l.Payload))
	}
	return strings.Join(all, " ")
}

func parkedKeys(t *testing.T, s deadletter.Store) (keys []string) {
	t.Helper()
	for p, err := range s.Parked(t.Context(), scope) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, p.Key)
	}
	return keys
}

func expect(t *testing.T, s deadletter.Store, letters string, parked ...string) {
	t.Helper()
	if got := left(t, s); got != letters {
		t.Errorf("the letters that are left: %q; want %q", got, letters)
	}
	if got := parkedKeys(t, s); !slices.Equal(got, parked) {
		t.Errorf("the keys that are parked: %q; want %q", got, parked)
	}
}
