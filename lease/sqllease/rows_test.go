package sqllease_test

import (
	"database/sql"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/sqllease"
)

// loosen makes the table one that takes any value, as no Setup would: somebody has to have gone out of his way to break a row.
func loosen(t *testing.T, db *sql.DB) {
	t.Helper()
	db.SetMaxOpenConns(1)
	execute(t, db, `PRAGMA writable_schema = ON;
		UPDATE sqlite_schema SET sql = replace(replace(replace(sql, ' STRICT', ''), ' NOT NULL', ''), ' INTEGER', '') WHERE name = 'runnel_leases';
		PRAGMA writable_schema = RESET`)
	db.SetMaxIdleConns(0) // the next connection reads the schema anew
}

func TestABrokenRowIsNamedAndHidesNoOther(t *testing.T) {
	for _, c := range []struct{ set, want string }{
		{"version = NULL", "column version is NULL; want INTEGER"},
		{"version = 'seven'", "column version is TEXT; want INTEGER"},
		{"version = 1.5", "column version is REAL; want INTEGER"},
		{"version = 0", "column version is 0; want 1 or more"},
		{"version = -3", "column version is -3; want 1 or more"},
		{"cursor = x'00'", "column cursor is BLOB; want INTEGER"},
		{"cursor = 0", "column cursor is 0; want 1 or more"},
		{"value = NULL", "column value is NULL; want TEXT"},
		{"value = x'7b7d'", "column value is BLOB; want TEXT"},
		{"value = CAST(x'22ff22' AS TEXT)", "column value is not UTF-8"},
		{"value = NULL, version = NULL", "column version is NULL; want INTEGER; column value is NULL; want TEXT"},
	} {
		t.Run(c.set, func(t *testing.T) {
			_, db, file := newStore(t)
			s := sqllease.New(db, nil)
			put(t, s, row("a/1", 0), row("a/2", 0), row("a/3", 0))
			loosen(t, db)
			execute(t, db, "UPDATE runnel_leases SET "+c.set+" WHERE name = '2'")

			s = sqllease.New(open(t, file), nil)
			rows, err := s.Get(t.Context(), []string{"a/1", "a/2", "a/3"})
			if err != nil {
				t.Fatal(err)
			}
			wantBroken(t, rows, 1, "a/2", c.want)
			rows = nil
			for r, err := range s.List(t.Context(), "a/", "") {
				if err != nil {
					t.Fatal(err)
				}
				rows = append(rows, r)
			}
			slices.SortFunc(rows, func(a, b lease.Row) int { return strings.Compare(a.Key, b.Key) })
			wantBroken(t, rows, 1, "a/2", c.want)
			if errs := s.Put(t.Context(), []lease.Row{row("a/1", 1), row("a/3", 1)}); errs != nil {
				t.Errorf("Put of the others: %v", errs)
			}
		})
	}
}

// wantBroken wants one of three rows to be broken, and the others not.
func wantBroken(t *testing.T, rows []lease.Row, place int, key, want string) {
	t.Helper()
	if len(rows) != 3 {
		t.Fatalf("%d rows; want 3", len(rows))
	}
	for i, r := range rows {
		if i != place {
			if r.Err != nil || r.Version != 1 || len(r.Value) == 0 {
				t.Errorf("%v; want a sound row", r)
			}
			continue
		}
		if r.Key != key || r.Version < 1 || r.Value != nil || !errors.Is(r.Err, lease.ErrRow) {
			t.Fatalf("%v; want lease.ErrRow of %q", r, key)
		}
		for _, text := range []string{want, "runnel_leases", key, "by hand"} {
			if !strings.Contains(r.Err.Error(), text) {
				t.Errorf("%v; want it to say %q", r.Err, text)
			}
		}
	}
}

func TestARowOfABrokenNameIsListed(t *testing.T) {
	for set, want := range map[string]string{
		"name = NULL":                  "column name is NULL; want TEXT",
		"name = x'32'":                 "column name is BLOB; want TEXT",
		"name = '2/2'":                 `column name is "2/2"; want a name without a slash`,
		"name = ''":                    `column name is ""; want a name`,
		"name = CAST(x'ff32' AS TEXT)": "column name is not UTF-8",
	} {
		t.Run(set, func(t *testing.T) {
			_, db, file := newStore(t)
			put(t, sqllease.New(db, nil), row("a/1", 0), row("a/2", 0), row("a/3", 0))
			loosen(t, db)
			execute(t, db, "UPDATE runnel_leases SET "+set+" WHERE name = '2'")
			var broken []lease.Row
			sound := 0
			for r, err := range sqllease.New(open(t, file), nil).List(t.Context(), "a/", "") {
				switch {
				case err != nil:
					t.Fatal(err)
				case r.Err != nil:
					broken = append(broken, r)
				default:
					sound++
				}
			}
			if sound != 2 || len(broken) != 1 || !errors.Is(broken[0].Err, lease.ErrRow) || !strings.Contains(broken[0].Err.Error(), want) || !strings.HasPrefix(broken[0].Key, "a/") {
				t.Errorf("%d sound rows, and %v; want 2, and one with %q", sound, broken, want)
			}
		})
	}
}

func TestABrokenVersionIsAConflict(t *testing.T) {
	_, db, file := newStore(t)
	put(t, sqllease.New(db, nil), row("a/row", 0))
	loosen(t, db)
	execute(t, db, "UPDATE runnel_leases SET version = 'seven'")
	s := sqllease.New(open(t, file), nil)
	for _, version := range []uint64{0, 1} {
		errs := s.Put(t.Context(), []lease.Row{row("a/row", version)})
		if len(errs) != 1 || !errors.Is(errs[0], lease.ErrConflict) || !strings.Contains(errs[0].Error(), "its version is TEXT") {
			t.Errorf("Put at version %d: %v", version, errs)
		}
	}
}

// The types of the columns bind: the usual slips of an operator's hand are refused on the spot.
func TestTheTableRefusesValuesOfAnotherType(t *testing.T) {
	s, db, _ := newStore(t)
	put(t, s, row("a/row", 0))
	for _, set := range []string{"version = 'seven'", "version = NULL", "cursor = 'x'", "value = NULL", "value = x'00'", "name = NULL"} {
		if _, err := db.ExecContext(t.Context(), "UPDATE runnel_leases SET "+set); err == nil {
			t.Errorf("%s is taken", set)
		}
	}
}
