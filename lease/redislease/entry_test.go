package redislease

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/runnelhq/runnel/lease"
)

func TestEntries(t *testing.T) {
	s := New(nil, nil)
	p := place{app: "orders", group: "orders/S/inc/", name: "shard-0"}
	for entry, want := range map[string]lease.Row{
		`1 1764343000000000 {"a":1}`:             {Version: 1, Cursor: "1764343000000000", Value: []byte(`{"a":1}`)},
		`18446744073709551615 0000000000000001 `: {Version: math.MaxUint64, Cursor: "0000000000000001"},
		`7 1764343000000000  two  words `:        {Version: 7, Cursor: "1764343000000000", Value: []byte(` two  words `)},
	} {
		got := s.decode(p, entry)
		if got.Err != nil || got.Key != "orders/S/inc/shard-0" || got.Version != want.Version || got.Cursor != want.Cursor || string(got.Value) != string(want.Value) {
			t.Errorf("%q: %+v; want %+v", entry, got, want)
		}
	}
	for _, entry := range []string{"", "0 1764343000000000 {}", "1 176434300000000x {}", "1 1764343000000000", "18446744073709551616 1764343000000000 {}", strings.Repeat("x", 1000)} {
		got := s.decode(p, entry)
		if !errors.Is(got.Err, lease.ErrRow) || got.Version == 0 || got.Value != nil || !strings.Contains(got.Err.Error(), `field "shard-0" of "runnel:{orders}/S/inc/"`) || len(got.Err.Error()) > 500 {
			t.Errorf("%q: %+v; want lease.ErrRow, in brief, and where it is", entry, got)
		}
	}
}

func TestCursorsOfOthersComeBeforeEveryChange(t *testing.T) {
	for cursor, want := range map[string]int64{"": 0, "0000000000000012": 12, "2026-11-28T15:00:00Z": 0, "1e9": 0, " 1": 0} {
		if got := parseCursor(cursor); got != want {
			t.Errorf("%q: %d; want %d", cursor, got, want)
		}
	}
}

// None of the keys of one group is one of another's, and all of an application have one tag.
func TestKeysOfRedisAreDistinct(t *testing.T) {
	s := New(nil, &Config{Prefix: "p:"})
	of := map[string]string{}
	for _, key := range []string{"a/x", "a/changes/x", "a/cursor/x", "a/b/x", "a/b/changes/x", "ab/x", "W/x", "a//x", "a//changes/x"} {
		p, err := split(key)
		if err != nil {
			t.Fatal(err)
		}
		rows, changes := s.groupKeys(p)
		for _, k := range []string{rows, changes, s.counterKey(p.app)} {
			if !strings.HasPrefix(k, "p:{"+p.app+"}/") {
				t.Errorf("%s: key %s is not of the tag of its application", key, k)
			}
			if other, taken := of[k]; taken && (k != s.counterKey(p.app)) {
				t.Errorf("%s and %s share %s", key, other, k)
			}
			of[k] = key
		}
	}
}
