//go:build engines

package sqllease_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/runnelhq/runnel/lease"
)

// The figures that the package's documentation gives.
func TestStatementsOfAnOperationOnPostgreSQL(t *testing.T) {
	tp, s, _, _ := tappedServed(t)
	var keys []string
	for i := range 10_001 {
		keys = append(keys, fmt.Sprintf("a/%d", i))
	}
	quiet := func(key string, version uint64) lease.Row {
		r := row(key, version)
		r.Cursor = "kept"
		return r
	}
	for _, c := range []struct {
		what string
		want int
		f    func()
	}{
		{"a Put of a new row", 5, func() { put(t, s, row("a/1", 0)) }},
		{"a Put of three new rows", 5, func() { put(t, s, row("a/2", 0), row("a/3", 0), row("a/4", 0)) }},
		{"a Put of new and known rows", 6, func() { put(t, s, row("a/5", 0), row("a/4", 1)) }},
		{"a Put that keeps the cursor", 3, func() { put(t, s, quiet("a/1", 1)) }},
		{"a Put of rows that keep their cursors", 4, func() { put(t, s, quiet("a/1", 2), quiet("a/2", 1)) }},
		{"a conflict", 3, func() { s.Put(t.Context(), []lease.Row{row("a/1", 9)}) }},
		{"a conflict of a row that keeps its cursor", 4, func() { s.Put(t.Context(), []lease.Row{quiet("a/1", 9)}) }},
		{"a Delete", 3, func() {
			if errs := s.Delete(t.Context(), []lease.Row{row("a/3", 1)}); errs != nil {
				t.Error(errs)
			}
		}},
		{"a Delete of two rows", 4, func() {
			if errs := s.Delete(t.Context(), []lease.Row{row("a/2", 2), row("a/5", 1)}); errs != nil {
				t.Error(errs)
			}
		}},
		{"a Get of 10,000 keys", 1, func() {
			if _, err := s.Get(t.Context(), keys[:10_000]); err != nil {
				t.Error(err)
			}
		}},
		{"a Get of 10,001 keys", 2, func() {
			if _, err := s.Get(t.Context(), keys); err != nil {
				t.Error(err)
			}
		}},
		{"a List", 1, func() { listed(t, s, "a/", "") }},
		{"a List by cursor", 1, func() { listed(t, s, "a/", "1") }},
	} {
		tp.record()
		c.f()
		if got := tp.recorded(); len(got) != c.want {
			t.Errorf("%s: %d statements; want %d: %q", c.what, len(got), c.want, got)
		}
	}
}

// Neither a listing of changes nor a write looks at the whole table.
func TestStatementsUseTheIndexesOnPostgreSQL(t *testing.T) {
	tp, s, _, db := tappedServed(t)
	var rows []lease.Row
	for i := range 5000 {
		rows = append(rows, row(fmt.Sprintf("a/%d", i), 0))
	}
	put(t, s, rows...)
	tp.record()
	put(t, s, row("a/1", 1), row("a/new", 0))
	get(t, s, "a/1")
	quiet := row("a/1", 2)
	quiet.Cursor = "kept"
	put(t, s, quiet)
	listed(t, s, "a/", "7")
	s.Delete(t.Context(), []lease.Row{row("a/1", 9)})
	queries := tp.recorded()
	execute(t, db, "ANALYZE "+regexp.MustCompile(`"t_\w+"."leases"`).FindString(queries[1]))
	n := 0
	for _, query := range queries {
		if !strings.Contains(query, "$1") {
			continue
		}
		n++
		query = strings.NewReplacer("$1::text", `'[{"grp":"a/","name":"1","version":1,"cursor":7,"value":"{}"}]'`, "$1", "'a/'", "$2::bigint", "1", "$2", "7").Replace(query)
		found, err := db.QueryContext(t.Context(), "EXPLAIN "+query)
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		var plan []string
		for found.Next() {
			var step string
			if err := found.Scan(&step); err != nil {
				t.Fatal(err)
			}
			plan = append(plan, step)
		}
		if err := errors.Join(found.Err(), found.Close()); err != nil { //nolint:sqlclosecheck // in a loop
			t.Fatal(err)
		}
		if text := strings.Join(plan, "\n"); strings.Contains(text, "Seq Scan on leases") {
			t.Errorf("%s:\n%s", query, text)
		}
	}
	if n < 8 {
		t.Errorf("explained %d statements of %q", n, queries)
	}
}

// Readers follow while several write: whoever has seen a cursor has seen, or misses no more, every lower one. A plain sequence would fail: a lower number may be committed later.
func TestAListingByCursorMissesNothing(t *testing.T) {
	const writers, writes = 6, 40
	_, db, table := newServed(t)
	var writing sync.WaitGroup
	ended := make(chan struct{})
	for w := range writers {
		s := onServer(openServer(t, "pgx", serverURL(t)), table)
		writing.Go(func() {
			for i := range writes {
				rows := []lease.Row{row(fmt.Sprintf("a/%d-%d", w, i), 0)}
				if i%3 == 0 { // longer transactions, to be overtaken
					rows = append(rows, row(fmt.Sprintf("a/%d-%d-more", w, i), 0), row(fmt.Sprintf("b/%d-%d", w, i), 0))
				}
				if errs := s.Put(t.Context(), rows); errs != nil {
					t.Error(errs)
				}
			}
		})
	}
	go func() { defer close(ended); writing.Wait() }()
	var readers sync.WaitGroup
	for range 2 {
		s := onServer(db, table)
		readers.Go(func() {
			seen, last := map[string]bool{}, ""
			for done := false; ; {
				for r, err := range s.List(t.Context(), "a/", last) {
					if err != nil {
						t.Error(err)
						return
					}
					seen[r.Key] = true
					last = max(last, r.Cursor)
				}
				if done {
					break
				}
				select {
				case <-ended:
					done = true // one look more
				default:
				}
			}
			for _, key := range listed(t, s, "a/", "") {
				if !seen[key] {
					t.Errorf("%s was never listed", key)
				}
			}
		})
	}
	readers.Wait()
	<-ended
}

// A write that is not listed does not wait for the counter, and so for no other's: heartbeats and positions go on whatever else is stuck.
func TestAQuietWritePassesAStuckOne(t *testing.T) {
	tp, s, other, _ := tappedServed(t)
	put(t, other, row("a/1", 0), row("a/2", 0))
	stuck, goOn := make(chan struct{}), make(chan struct{})
	tp.before = func(_ driver.ExecerContext, query string) error {
		if query == "COMMIT" {
			close(stuck)
			<-goOn
		}
		return nil
	}
	done := make(chan []error, 1)
	go func() { done <- s.Put(t.Context(), []lease.Row{row("a/1", 1)}) }()
	<-stuck
	quiet := row("a/2", 1)
	quiet.Cursor = get(t, other, "a/2").Cursor
	if errs := other.Put(within(t, 3*time.Second), []lease.Row{quiet}); errs != nil {
		t.Errorf("a write that keeps its cursor: %v", errs)
	}
	for _, err := range other.Put(within(t, 200*time.Millisecond), []lease.Row{row("a/2", 2)}) {
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a write that is listed passed one with a lower cursor: %v", err)
		}
	}
	if v := get(t, other, "a/1").Version; v != 1 {
		t.Errorf("readers see version %d while it is being written", v)
	}
	close(goOn)
	if errs := <-done; errs != nil {
		t.Error(errs)
	}
}

// Rows are locked in one order, whatever the order in which they are given: nobody waits in a circle.
func TestManyRowsInOpposingOrdersMakeNoDeadlock(t *testing.T) {
	const writers, times = 6, 25
	s, _, table := newServed(t)
	put(t, s, batch(0)...)
	var wg sync.WaitGroup
	for w := range writers {
		tp, db, s, err := tapOn(serverURL(t) + "#" + table)
		if err != nil {
			t.Fatal(err)
		}
		begun := 0
		tp.before = func(_ driver.ExecerContext, query string) error {
			if strings.HasPrefix(query, "BEGIN") {
				begun++
			}
			return nil
		}
		wg.Go(func() {
			defer func() {
				if err := db.Close(); err != nil || begun != times {
					t.Errorf("%v, and %d transactions for %d writes: some were tried again", err, begun, times)
				}
			}()
			for range times {
				stored, err := s.Get(t.Context(), keysOf(batch(0)))
				if err != nil {
					t.Error(err)
					return
				}
				for i := range stored {
					if w < 2 && i%2 == 0 { // those that keep every cursor do not wait for the counter first
						stored[i].Cursor = ""
					}
				}
				if w%2 == 0 {
					slices.Reverse(stored)
				}
				for _, err := range s.Put(t.Context(), stored) {
					if err != nil && !errors.Is(err, lease.ErrConflict) {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if v := get(t, s, "a/0").Version; v < 2 {
		t.Errorf("version %d: nobody wrote", v)
	}
}

func keysOf(rows []lease.Row) (keys []string) {
	for _, r := range rows {
		keys = append(keys, r.Key)
	}
	return keys
}

func TestRowsAreAsOnSQLite(t *testing.T) {
	s, db, table := newServed(t)
	t.Run("a row named twice is written in order", func(t *testing.T) {
		errs := s.Put(t.Context(), []lease.Row{row("twice/row", 0), row("twice/row", 1), row("twice/row", 1)})
		if len(errs) != 3 || errs[0] != nil || errs[1] != nil || !errors.Is(errs[2], lease.ErrConflict) {
			t.Errorf("%v; want a conflict of the third", errs)
		}
		if v := get(t, s, "twice/row").Version; v != 2 {
			t.Errorf("version %d; want 2", v)
		}
	})
	t.Run("conflicts say what is there", func(t *testing.T) {
		put(t, s, row("c/row", 0))
		quiet := row("c/row", 5)
		quiet.Cursor = "kept"
		for _, c := range []struct {
			write func(context.Context, []lease.Row) []error
			row   lease.Row
			want  string
		}{
			{s.Put, row("c/row", 0), "it has version 1"},
			{s.Put, row("c/row", 5), "it has version 1"},
			{s.Put, quiet, "it has version 1"},
			{s.Put, row("c/none", 5), "it does not exist"},
			{s.Delete, row("c/row", 0), "it has version 1"},
			{s.Delete, row("c/row", 2), "it has version 1"},
			{s.Delete, row("c/none", 2), "it does not exist"},
		} {
			errs := c.write(t.Context(), []lease.Row{c.row})
			if len(errs) != 1 || !errors.Is(errs[0], lease.ErrConflict) || !strings.Contains(errs[0].Error(), c.want) {
				t.Errorf("%v at version %d: %v; want a conflict that says %q", c.row.Key, c.row.Version, errs, c.want)
			}
		}
		if errs := s.Delete(t.Context(), []lease.Row{row("c/none", 0)}); errs != nil {
			t.Errorf("a Delete of nothing: %v", errs)
		}
	})
	t.Run("rows are stamped beside quiet ones", func(t *testing.T) {
		put(t, s, row("s/1", 0), row("s/2", 0))
		first := get(t, s, "s/1").Cursor
		quiet := row("s/1", 1)
		quiet.Cursor = first
		put(t, s, quiet, row("s/2", 1), row("s/3", 0))
		if keys := listed(t, s, "s/", first); !slices.Equal(slices.Sorted(slices.Values(keys)), []string{"s/2", "s/3"}) {
			t.Errorf("listed %q; want the rows without a cursor", keys)
		}
		if one, two := get(t, s, "s/1"), get(t, s, "s/2"); one.Cursor != first || one.Version != 2 || two.Cursor <= first {
			t.Errorf("%v and %v; want the first cursor kept", one, two)
		}
	})
	t.Run("keys are compared as bytes", func(t *testing.T) {
		keys := []string{"k/a", "k/A", "k/\u00e4", "k/a\u0308", "k/ ", "k/%_\\'\"$1{}", "K/a", "k//a", "k/\u2028<&>"}
		for _, key := range keys {
			put(t, s, row(key, 0))
		}
		for _, key := range keys {
			if v := get(t, s, key).Version; v != 1 {
				t.Errorf("%q has version %d", key, v)
			}
		}
	})
	t.Run("versions go up to the largest integer", func(t *testing.T) {
		put(t, s, row("v/row", 0))
		execute(t, db, "UPDATE "+table+" SET version = $1 WHERE grp = 'v/'", int64(math.MaxInt64-1))
		put(t, s, row("v/row", math.MaxInt64-1))
		if v := get(t, s, "v/row").Version; v != math.MaxInt64 {
			t.Errorf("version %d", v)
		}
	})
	t.Run("zero bytes are refused by name", func(t *testing.T) {
		errs := s.Put(t.Context(), []lease.Row{row("z/\x00", 0), {Key: "z/row", Value: []byte("\x00")}, row("z/sound", 0)})
		if len(errs) != 3 || errs[2] != nil || !strings.Contains(errs[0].Error(), "without zero bytes") || !strings.Contains(errs[1].Error(), "without zero bytes") {
			t.Errorf("%v", errs)
		}
	})
	t.Run("a broken row is named and hides no other", func(t *testing.T) {
		put(t, s, row("broken/1", 0), row("broken/2", 0))
		execute(t, db, "UPDATE "+table+" SET version = 0 WHERE grp = 'broken/' AND name = '1'")
		for r, err := range s.List(t.Context(), "broken/", "") {
			if err != nil || errors.Is(r.Err, lease.ErrRow) != (r.Key == "broken/1") {
				t.Errorf("%v, %v", r, err)
			}
		}
	})
	t.Run("an operator reads values as JSON", func(t *testing.T) {
		r := row("orders/S/inc/shard-0", 0)
		r.Value = []byte(`{"owner":"a"}`)
		put(t, s, r)
		if owner := ask[string](t, db, "SELECT value::json ->> 'owner' FROM "+table+" WHERE grp LIKE 'orders/S/%'"); owner != "a" {
			t.Errorf("owner %q", owner)
		}
	})
}
