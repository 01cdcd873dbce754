package sqllease_test

import (
	"database/sql"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/sqllease"
)

var parameter = regexp.MustCompile(`\?\d*`)

// Neither a listing of changes nor a read looks at the whole table.
func TestStatementsUseTheIndexes(t *testing.T) {
	tp, db := tapped(t, newFile(t))
	s := sqllease.New(db, nil)
	if err := s.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, s, row("a/1", 0))
	tp.record()
	put(t, s, row("a/1", 1), row("a/2", 0))
	get(t, s, "a/1")
	quiet := row("a/1", 2)
	quiet.Cursor = "kept"
	put(t, s, quiet)
	listed(t, s, "a/", "1")
	listed(t, s, "a/", "")
	s.Delete(t.Context(), []lease.Row{row("a/1", 9)})
	for _, query := range tp.recorded() {
		if verb, _, _ := strings.Cut(query, " "); !slices.Contains([]string{"SELECT", "UPDATE", "DELETE", "INSERT"}, verb) {
			continue
		}
		rows, err := db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+parameter.ReplaceAllString(query, "'x'"))
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range steps(t, rows) {
			if strings.HasPrefix(step, "SCAN runnel_leases") {
				t.Errorf("%s: %s", query, step)
			}
		}
	}
}

func steps(t *testing.T, rows *sql.Rows) (details []string) {
	t.Helper()
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		details = append(details, detail)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return details
}

// The figures that the package's documentation gives.
func TestStatementsOfAnOperation(t *testing.T) {
	tp, db := tapped(t, newFile(t))
	s := sqllease.New(db, nil)
	if err := s.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	statements := func(f func()) int {
		tp.record()
		f()
		return len(tp.recorded())
	}
	var keys []string
	for i := range 251 {
		keys = append(keys, fmt.Sprintf("a/%d", i))
	}
	quiet := row("a/1", 1)
	quiet.Cursor = "kept"
	for _, c := range []struct {
		what string
		want int
		f    func()
	}{
		{"a Put of three new rows", 3 + 3 + 1, func() { put(t, s, row("a/1", 0), row("a/2", 0), row("a/3", 0)) }},
		{"a Put that keeps the cursor", 3 + 1, func() { put(t, s, quiet) }},
		{"a conflict", 3 + 2, func() { s.Delete(t.Context(), []lease.Row{row("a/1", 9)}) }},
		{"a Delete", 3 + 1, func() { s.Delete(t.Context(), []lease.Row{row("a/2", 1)}) }},
		{"a Get of 251 keys", 2, func() {
			if _, err := s.Get(t.Context(), keys); err != nil {
				t.Fatal(err)
			}
		}},
		{"a List", 1, func() { listed(t, s, "a/", "") }},
		{"a List by cursor", 1, func() { listed(t, s, "a/", "1") }},
	} {
		if got := statements(c.f); got != c.want {
			t.Errorf("%s: %d statements; want %d: %q", c.what, got, c.want, tp.recorded())
		}
		if writes := tp.recorded(); len(writes) > 2 && writes[1] != "BEGIN IMMEDIATE" {
			t.Errorf("%s begins with %q; want a transaction that has the lock from its beginning", c.what, writes[:2])
		}
	}
}
