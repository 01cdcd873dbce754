package sqllease_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/runnelhq/runnel/lease"
)

func TestACursorIsOfItsTransaction(t *testing.T) {
	s, _, _ := newStore(t)
	put(t, s, row("a/1", 0), row("a/2", 0))
	first := get(t, s, "a/1").Cursor
	if other := get(t, s, "a/2").Cursor; other != first {
		t.Errorf("rows of one Put have the cursors %q and %q", first, other)
	}
	put(t, s, row("a/1", 1))
	second := get(t, s, "a/1").Cursor
	if second <= first {
		t.Errorf("cursor %q after %q", second, first)
	}
	if keys := listed(t, s, "a/", first); !slices.Equal(keys, []string{"a/1"}) {
		t.Errorf("listed %q after the first; want the row that changed", keys)
	}
	if keys := listed(t, s, "a/", second); len(keys) != 0 {
		t.Errorf("listed %q after the last; want none", keys)
	}
}

// Cursors are compared as text, by those who keep the last that they saw.
func TestCursorsSortAsTheyWereGiven(t *testing.T) {
	s, _, _ := newStore(t)
	last := ""
	for version := range uint64(101) {
		put(t, s, row("a/row", version))
		cursor := get(t, s, "a/row").Cursor
		if cursor <= last {
			t.Fatalf("cursor %q after %q", cursor, last)
		}
		last = cursor
	}
}

func TestARowIsStampedBesideQuietOnes(t *testing.T) {
	s, _, _ := newStore(t)
	put(t, s, row("a/1", 0), row("a/2", 0))
	first := get(t, s, "a/1").Cursor
	quiet := row("a/1", 1)
	quiet.Cursor = first
	put(t, s, quiet, row("a/2", 1))
	if keys := listed(t, s, "a/", first); !slices.Equal(keys, []string{"a/2"}) {
		t.Errorf("listed %q; want the row without a cursor", keys)
	}
}

func TestAQuietWriteIsNotListedAsAChange(t *testing.T) {
	s, _, _ := newStore(t)
	put(t, s, row("a/1", 0), row("a/2", 0))
	put(t, s, row("a/2", 1))
	last := get(t, s, "a/2").Cursor
	quiet := row("a/1", 1)
	quiet.Cursor = get(t, s, "a/1").Cursor
	put(t, s, quiet)
	if keys := listed(t, s, "a/", last); len(keys) != 0 {
		t.Errorf("listed %q; want none", keys)
	}
	if got := get(t, s, "a/1"); got.Version != 2 || got.Cursor != quiet.Cursor {
		t.Errorf("%v; want version 2 with the cursor that it had", got)
	}
}

// A write that keeps its place is as conditional as one that does not.
func TestAQuietWriteOfAnotherVersionIsAConflict(t *testing.T) {
	s, _, _ := newStore(t)
	for version := range uint64(3) {
		put(t, s, row("a/row", version))
	}
	for _, version := range []uint64{1, 2, 4} {
		quiet := row("a/row", version)
		quiet.Cursor = get(t, s, "a/row").Cursor
		if errs := s.Put(t.Context(), []lease.Row{quiet}); len(errs) != 1 || !errors.Is(errs[0], lease.ErrConflict) {
			t.Errorf("a write of version %d to a row of 3: %v; want a conflict", version, errs)
		}
	}
	if got := get(t, s, "a/row"); got.Version != 3 || string(got.Value) != `{"version":3}` {
		t.Errorf("%v; want version 3 as it was", got)
	}
}

// The counter outlives the rows: were it the highest cursor of a row, a deletion would take it back below what others have seen.
func TestCursorsRiseAcrossDeletions(t *testing.T) {
	s, _, _ := newStore(t)
	put(t, s, row("a/1", 0))
	put(t, s, row("a/2", 0))
	seen := get(t, s, "a/2").Cursor
	if errs := s.Delete(t.Context(), []lease.Row{row("a/2", 1)}); errs != nil {
		t.Fatal(errs)
	}
	put(t, s, row("a/1", 1))
	if keys := listed(t, s, "a/", seen); !slices.Equal(keys, []string{"a/1"}) {
		t.Errorf("listed %q; want the row that changed after the deletion", keys)
	}
}

func TestACreatedRowIsListedWhateverItsCursor(t *testing.T) {
	s, _, _ := newStore(t)
	put(t, s, row("a/1", 0))
	r := row("a/2", 0)
	r.Cursor = get(t, s, "a/1").Cursor
	put(t, s, r)
	if keys := listed(t, s, "a/", r.Cursor); !slices.Equal(keys, []string{"a/2"}) {
		t.Errorf("listed %q; want the new row", keys)
	}
}

func TestAForeignCursorComesBeforeEveryChange(t *testing.T) {
	s, _, _ := newStore(t)
	put(t, s, row("a/1", 0))
	for _, cursor := range []string{"2026-01-02T15:04:05.000000000Z-00000000", "99999999999999999999"} {
		if keys := listed(t, s, "a/", cursor); !slices.Equal(keys, []string{"a/1"}) {
			t.Errorf("listed %q after %q; want all", keys, cursor)
		}
	}
}
