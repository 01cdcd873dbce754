package dedup_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/dedup"
)

// The stored forms never change: rows hold them.
func TestStoredFormsOfMarks(t *testing.T) {
	aggregated, err := checkpoint.Aggregated("000000000000000000099", 7)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		mark     dedup.Mark
		id, lane string
	}{
		{dedup.Mark{}, "   000 0", "k"},
		{dedup.Mark{App: "billing", Stream: "orders:2026-01-02", Shard: "shardId-000000000001", Key: "customer 7", Position: checkpoint.Offset(120), Generation: 3, Epoch: 9, Session: "s"},
			"billing orders:2026-01-02 shardId-000000000001 0031200000000000 3", "kcustomer 7"},
		{dedup.Mark{App: "a b", Stream: "%", Shard: "%20", Key: "\x00\xff", Position: aggregated, Generation: 18446744073709551615},
			"a%20b %25 %2520 002990000000007 18446744073709551615", "k\x00\xff"},
		{dedup.Mark{App: "a", Stream: "b", Shard: "c", Key: "is ignored", Alone: true, Position: checkpoint.Offset(120)}, "a b c 0031200000000000 0", "p0031200000000000"},
		{dedup.Mark{App: "a", Stream: "b", Shard: "c", Alone: true, Position: checkpoint.End()}, "a b c 999 0", "p999"},
	} {
		if got := c.mark.ID(); got != c.id {
			t.Errorf("ID is %q, want %q", got, c.id)
		}
		if got := c.mark.Lane(); got != c.lane {
			t.Errorf("Lane is %q, want %q", got, c.lane)
		}
	}
}

// text draws names of which some are made of what separates or escapes.
func text(t *rapid.T, what string) string {
	return rapid.StringOfN(rapid.SampledFrom([]rune("ab %2025k p\x00é")), 0, 4, -1).Draw(t, what)
}

func drawn(t *rapid.T) dedup.Mark {
	return dedup.Mark{
		App: text(t, "app"), Stream: text(t, "stream"), Shard: text(t, "shard"), Key: text(t, "key"), Alone: rapid.Bool().Draw(t, "alone"),
		Position: checkpoint.Offset(rapid.Uint64Range(0, 12).Draw(t, "position")), Generation: rapid.Uint64Range(0, 3).Draw(t, "generation"),
		Epoch: rapid.Uint64().Draw(t, "epoch"), Session: text(t, "session"), Scope: dedup.Scope(rapid.Uint8Range(0, 2).Draw(t, "scope")), Redrive: rapid.Bool().Draw(t, "redrive"),
	}
}

func TestIDsAreThoseOfTheSameRecordAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawn(t), drawn(t)
		if rapid.Bool().Draw(t, "same record") {
			b.App, b.Stream, b.Shard, b.Position, b.Generation = a.App, a.Stream, a.Shard, a.Position, a.Generation
		}
		same := a.App == b.App && a.Stream == b.Stream && a.Shard == b.Shard && a.Position == b.Position && a.Generation == b.Generation
		if got := a.ID() == b.ID(); got != same {
			t.Fatalf("%q and %q: %v, want %v", a.ID(), b.ID(), got, same)
		}
		if n := strings.Count(a.ID(), " "); n != 4 {
			t.Fatalf("%q has %d spaces, want 4", a.ID(), n)
		}
		if a.Alone == b.Alone {
			same = a.Alone && a.Position == b.Position || !a.Alone && a.Key == b.Key
		} else {
			same = false
		}
		if got := a.Lane() == b.Lane(); got != same {
			t.Fatalf("lanes %q and %q: %v, want %v", a.Lane(), b.Lane(), got, same)
		}
	})
}

// A letter and the mark of its record have one name, by which each is found from the other.
func TestIDsAreThoseOfLetters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawn(t)
		l := deadletter.Letter{Scope: deadletter.Scope{App: m.App, Stream: m.Stream}, Shard: m.Shard, Position: m.Position, Generation: m.Generation}
		if m.ID() != l.ID() {
			t.Fatalf("the mark is %q, the letter %q", m.ID(), l.ID())
		}
	})
}

func TestTermsKeepTheirScopes(t *testing.T) {
	terms := dedup.Terms{Scopes: []dedup.Scope{dedup.PerShard, dedup.PerID}}
	for s, want := range map[dedup.Scope]bool{dedup.PerShard: true, dedup.PerKey: false, dedup.PerID: true} {
		if terms.Keeps(s) != want {
			t.Errorf("it keeps %s: %v, want %v", s, !want, want)
		}
	}
	var names []string
	for s := range dedup.Scope(4) {
		names = append(names, s.String())
	}
	if want := []string{"PerShard", "PerKey", "PerID", "unknown"}; !slices.Equal(names, want) {
		t.Errorf("scopes are called %q, want %q", names, want)
	}
}

func TestRefusalsSayWhoHasSealed(t *testing.T) {
	for _, c := range []struct {
		err  dedup.RefusedError
		text string
	}{
		{dedup.RefusedError{Err: dedup.ErrFenced, Shard: "shard 3", Epoch: 7, Generation: 2, Session: "b"},
			"dedup: the shard is sealed by another owner: shard shard 3 has epoch 7, generation 2, session b"},
		{dedup.RefusedError{Err: dedup.ErrNotSealed, Shard: "shard 3"}, "dedup: the shard is not sealed by this owner: shard shard 3 has no seal"},
	} {
		if got := c.err.Error(); got != c.text {
			t.Errorf("%q, want %q", got, c.text)
		}
		if !errors.Is(&c.err, c.err.Err) {
			t.Errorf("%q does not wrap its sentinel", c.text)
		}
	}
}

func TestRolledBackErrorsWrapTheirCause(t *testing.T) {
	cause := errors.New("too little on the account")
	err := error(&dedup.RolledBackError{Err: cause})
	if !errors.Is(err, cause) || err.Error() != "dedup: rolled back: too little on the account" {
		t.Errorf("%q, which wraps %v", err, errors.Unwrap(err))
	}
}
