//go:build engines

package redislease_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/redislease"
)

// own is a store with keys of its own on the shared server, and a function that breaks one of them: "rows", "changes" or "cursor", by a command whose key it adds.
func own(t *testing.T) (s *redislease.Store, c *redis.Client, breaks func(key string, command string, args ...any)) {
	t.Helper()
	c = dial(t, server.URL)
	prefix := newPrefix(t, c)
	keys := map[string]string{"rows": prefix + "{a}/", "changes": prefix + "{a}/changes", "cursor": prefix + "{a}/cursor"}
	return redislease.New(c, &redislease.Config{Prefix: prefix}), c, func(key, command string, args ...any) {
		t.Helper()
		if err := c.Do(t.Context(), slices.Concat([]any{command, keys[key]}, args)...).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestACorruptEntryIsARowThatSaysSo(t *testing.T) {
	for _, entry := range []string{
		"", " ", "x", "1", "1 ", "one 1764343000000000 {}", "0 1764343000000000 {}", "01 1764343000000000 {}", "-1 1764343000000000 {}", "+1 1764343000000000 {}",
		"1 176434300000000 {}", "1 17643430000000000 {}", "1 176434300000000x {}", "1 1764343000000000", "1  {}", "18446744073709551616 1764343000000000 {}", "{}",
	} {
		t.Run(entry, func(t *testing.T) {
			s, _, breaks := own(t)
			put(t, s, row("a/row", 0), row("a/other", 0))
			breaks("rows", "hset", "row", entry)
			wantCorrupt(t, s, "a/row")
			if got := get(t, s, "a/other"); got.Err != nil || got.Version != 1 {
				t.Errorf("%+v; want the other row as it was", got)
			}
			for _, version := range []uint64{0, 1, 2, math.MaxUint64 - 1} {
				for verb, write := range map[string]func(context.Context, []lease.Row) []error{"put": s.Put, "delete": s.Delete} {
					r := row("a/row", version)
					if errs := write(t.Context(), []lease.Row{r}); len(errs) != 1 || !errors.Is(errs[0], lease.ErrConflict) {
						t.Errorf("%s at version %d: %v; want lease.ErrConflict, for what is not understood is not overwritten", verb, version, errs)
					}
				}
			}
			breaks("rows", "hset", "row", "7 1764343000000000 {}")
			put(t, s, row("a/row", 7))
		})
	}
}

// wantCorrupt wants a row with an error of Get and of List.
func wantCorrupt(t *testing.T, s *redislease.Store, key string) {
	t.Helper()
	for what, got := range map[string]lease.Row{"Get": get(t, s, key), "List": listed(t, s, "a/", "")[key]} {
		if !errors.Is(got.Err, lease.ErrRow) || got.Version == 0 || got.Key != key || !strings.Contains(got.Err.Error(), "{a}/") {
			t.Errorf("%s: %+v; want lease.ErrRow and the key of Redis", what, got)
		}
	}
}

func TestAKeyOfAnotherTypeHidesNoOtherGroup(t *testing.T) {
	s, _, breaks := own(t)
	put(t, s, row("a/row", 0), row("a/b/row", 0))
	breaks("rows", "del")
	breaks("rows", "set", "not a hash")
	wantCorrupt(t, s, "a/row")
	rows, err := s.Get(t.Context(), []string{"a/row", "a/b/row"})
	if err != nil || rows[0].Err == nil || rows[1].Err != nil || rows[1].Version != 1 {
		t.Errorf("%+v, %v; want an error of the first alone", rows, err)
	}
	errs := s.Put(t.Context(), []lease.Row{row("a/row", 1), row("a/b/row", 1)})
	if len(errs) != 2 || !errors.Is(errs[0], lease.ErrConflict) || errs[1] != nil {
		t.Errorf("%v; want a conflict of the first alone", errs)
	}
}

func TestChangesThatSomebodyBrokeHideNoRow(t *testing.T) {
	for name, harm := range map[string]func(breaks func(key, command string, args ...any)){
		"deleted":        func(breaks func(string, string, ...any)) { breaks("changes", "del") },
		"one is missing": func(breaks func(string, string, ...any)) { breaks("changes", "zrem", "row-1") },
		"one for another": func(breaks func(string, string, ...any)) {
			breaks("changes", "zrem", "row-1")
			breaks("changes", "zadd", 7, "ghost")
		},
		"one more row":   func(breaks func(string, string, ...any)) { breaks("rows", "hset", "odd", "?") },
		"another type":   func(breaks func(string, string, ...any)) { breaks("changes", "del"); breaks("changes", "set", "x") },
		"a strange rank": func(breaks func(string, string, ...any)) { breaks("changes", "zadd", "inf", "row-1") },
		"another number": func(breaks func(string, string, ...any)) { breaks("changes", "zadd", 0.5, "row-1") },
	} {
		t.Run(name, func(t *testing.T) {
			s, _, breaks := own(t)
			for i := range 250 { // more than a page
				put(t, s, row(fmt.Sprintf("a/row-%d", i), 0))
			}
			harm(breaks)
			count := map[string]int{}
			for r, err := range s.List(t.Context(), "a/", "") {
				if err != nil {
					t.Fatal(err)
				}
				count[r.Key]++
			}
			for i := range 250 {
				if n := count[fmt.Sprintf("a/row-%d", i)]; n != 1 {
					t.Errorf("row-%d is listed %d times", i, n)
				}
			}
			if n := count["a/ghost"]; n != 0 {
				t.Error("a change without a row is listed")
			}
		})
	}
}

// What a listing of changes lacks is mended by the next write, though it keeps the cursor.
func TestAWriteMendsTheChanges(t *testing.T) {
	s, _, breaks := own(t)
	put(t, s, row("a/first", 0))
	after := get(t, s, "a/first").Cursor
	put(t, s, row("a/row", 0))
	breaks("changes", "zrem", "row")
	quiet := row("a/row", 1)
	quiet.Cursor = get(t, s, "a/row").Cursor
	put(t, s, quiet)
	if rows := listed(t, s, "a/", after); len(rows) != 1 || rows["a/row"].Version != 2 {
		t.Errorf("%v; want the row that was written", rows)
	}
}

func TestChangesOfAnotherTypeAreSaidToWriters(t *testing.T) {
	s, _, breaks := own(t)
	put(t, s, row("a/row", 0), row("a/b/row", 0))
	breaks("changes", "del")
	breaks("changes", "set", "not a sorted set")
	errs := s.Put(t.Context(), []lease.Row{row("a/row", 1), row("a/b/row", 1)})
	if len(errs) != 2 || errs[0] == nil || errors.Is(errs[0], lease.ErrConflict) || !strings.Contains(errs[0].Error(), "delete that key") || errs[1] != nil {
		t.Errorf("%v; want an error of the first alone, with what to do", errs)
	}
	if rows := listed(t, s, "a/", get(t, s, "a/row").Cursor); rows["a/row"].Version != 1 {
		t.Errorf("%v; want the row listed and as it was", rows)
	}
	if errs := s.Delete(t.Context(), []lease.Row{row("a/row", 1)}); errs != nil {
		t.Error(errs)
	}
}

func TestCursorsRiseWhateverBecomesOfTheCounter(t *testing.T) {
	s, c, breaks := own(t)
	put(t, s, row("a/row", 0))
	last := get(t, s, "a/row").Cursor
	for i, stamped := range []string{"", "5000000000000000", "", "5000000000000009"} { // by a clock that ran far ahead
		if stamped != "" {
			breaks("cursor", "set", stamped)
		}
		put(t, s, row("a/row", uint64(i+1)))
		next := get(t, s, "a/row").Cursor
		if next <= max(last, stamped) {
			t.Errorf("step %d: the cursor was %s and is %s", i, max(last, stamped), next)
		}
		if _, ok := listed(t, s, "a/", last)["a/row"]; !ok {
			t.Errorf("step %d: the change is not listed", i)
		}
		last = next
	}
	for i, harm := range []func(){
		func() { breaks("cursor", "del") },
		func() { breaks("cursor", "del"); breaks("cursor", "lpush", "x") },
		func() { breaks("cursor", "del"); breaks("cursor", "set", "nan") },
		func() { breaks("cursor", "set", "9e99") },
		func() { breaks("cursor", "set", "-7") },
	} {
		harm()
		put(t, s, row("a/row", uint64(i+5)))
		// The cursor that the reader has is above what is stamped now.
		if _, ok := listed(t, s, "a/", last)["a/row"]; !ok {
			t.Errorf("harm %d: the change is not listed after a cursor of before", i)
		}
	}
	now, err := c.Time(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := get(t, s, "a/row").Cursor, fmt.Sprintf("%016d", now.UnixMicro()); got[:8] != want[:8] {
		t.Errorf("the cursor is %s at %s microseconds", got, want)
	}
}

// Rows that are stamped while a listing is read move in it, and none is passed over.
func TestAListingMissesNoRowThatMovesMeanwhile(t *testing.T) {
	s, _, _ := own(t)
	const n = 450
	rows := make([]lease.Row, n)
	for i := range rows {
		rows[i] = row(fmt.Sprintf("a/%03d", i), 0)
	}
	put(t, s, rows...)
	seen := map[string]uint64{}
	yielded := 0
	for r, err := range s.List(t.Context(), "a/", "") {
		if err != nil {
			t.Fatal(err)
		}
		if seen[r.Key] >= r.Version {
			t.Errorf("%s came with version %d after %d", r.Key, r.Version, seen[r.Key])
		}
		seen[r.Key] = r.Version
		if yielded++; yielded%10 == 0 && yielded <= n {
			i := (yielded * 7) % n
			rows[i].Version++
			put(t, s, rows[i])
			removed := row("a/gone", 0)
			put(t, s, removed)
			if errs := s.Delete(t.Context(), []lease.Row{row("a/gone", 1)}); errs != nil {
				t.Fatal(errs)
			}
		}
	}
	for _, r := range rows {
		if seen[r.Key] == 0 {
			t.Errorf("%s was not listed", r.Key)
		}
	}
}

func TestVersionsGoUpToTheLargestInteger(t *testing.T) {
	s, _, breaks := own(t)
	put(t, s, row("a/row", 0))
	for _, version := range []uint64{1 << 53, 1<<53 + 1, math.MaxInt64, math.MaxUint64 - 1} {
		breaks("rows", "hset", "row", fmt.Sprintf("%d 1764343000000000 {}", version))
		if errs := s.Put(t.Context(), []lease.Row{row("a/row", version-1), row("a/row", version+1)}); len(errs) != 2 || errs[0] == nil || errs[1] == nil {
			t.Errorf("version %d: %v; want neither neighbour taken for it", version, errs)
		}
		put(t, s, row("a/row", version))
		if v := get(t, s, "a/row").Version; v != version+1 {
			t.Errorf("version %d; want %d", v, version+1)
		}
	}
	if errs := s.Put(t.Context(), []lease.Row{row("a/row", math.MaxUint64)}); len(errs) != 1 || errs[0] == nil || !strings.Contains(errs[0].Error(), "used up") {
		t.Errorf("%v", errs)
	}
}

func TestConflictsSayWhatIsThere(t *testing.T) {
	s, _, _ := own(t)
	put(t, s, row("a/row", 0))
	for _, c := range []struct {
		write func(context.Context, []lease.Row) []error
		row   lease.Row
		want  string
	}{
		{s.Put, row("a/row", 0), "it has version 1"},
		{s.Put, row("a/row", 5), "it has version 1"},
		{s.Put, row("a/none", 5), "it does not exist"},
		{s.Delete, row("a/row", 0), "it has version 1"},
		{s.Delete, row("a/none", 2), "it does not exist"},
	} {
		errs := c.write(t.Context(), []lease.Row{c.row})
		if len(errs) != 1 || !errors.Is(errs[0], lease.ErrConflict) {
			t.Fatalf("%v; want one conflict", errs)
		}
		for _, want := range []string{c.want, fmt.Sprintf("%q at version %d", c.row.Key, c.row.Version)} {
			if !strings.Contains(errs[0].Error(), want) {
				t.Errorf("%v; want it to say %q", errs[0], want)
			}
		}
	}
}

func TestUnsoundRowsAreRefusedAndHinderNone(t *testing.T) {
	s, _, _ := own(t)
	sound := row("a/sound", 0)
	for key, want := range map[string]string{
		"nogroup": "a group that ends in a slash", "a/": "and a name", "/row": "the name of an application", "{a}/row": "no braces", "a}/row": "no braces",
	} {
		errs := s.Put(t.Context(), []lease.Row{row(key, 0), sound})
		if len(errs) != 2 || errs[0] == nil || errors.Is(errs[0], lease.ErrConflict) || !strings.Contains(errs[0].Error(), want) || errs[1] != nil {
			t.Errorf("%q: %v; want %q of the first alone", key, errs, want)
		}
		sound.Version++
		if _, err := s.Get(t.Context(), []string{"a/sound", key}); err == nil {
			t.Errorf("Get of %q: no error", key)
		}
	}
	for _, group := range []string{"", "a", "/", "/x", "{}/"} {
		var last error
		for _, last = range s.List(t.Context(), group, "") {
		}
		if last == nil {
			t.Errorf("List of %q: no error", group)
		}
	}
}

// Redis keeps any bytes, whatever package lease makes of them.
func TestAllBytesAreKept(t *testing.T) {
	s, _, _ := own(t)
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	name := strings.ReplaceAll(string(all), "/", "")
	r := lease.Row{Key: "a/{b}" + name + "/" + name, Value: all}
	put(t, s, r, lease.Row{Key: "a/empty"})
	if got := get(t, s, r.Key); string(got.Value) != string(all) {
		t.Errorf("%q", got.Value)
	}
	if got := listed(t, s, "a/{b}"+name+"/", "")[r.Key]; string(got.Value) != string(all) {
		t.Errorf("listed: %q", got.Value)
	}
	if got := get(t, s, "a/empty"); got.Version != 1 || len(got.Value) != 0 {
		t.Errorf("%+v; want a row without a value", got)
	}
}

func TestARowNamedTwiceIsWrittenInOrder(t *testing.T) {
	s, _, _ := own(t)
	errs := s.Put(t.Context(), []lease.Row{row("a/row", 0), row("a/row", 1), row("a/row", 1)})
	if len(errs) != 3 || errs[0] != nil || errs[1] != nil || !errors.Is(errs[2], lease.ErrConflict) {
		t.Errorf("%v; want a conflict of the third", errs)
	}
}
