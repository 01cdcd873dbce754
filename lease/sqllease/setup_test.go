package sqllease_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/sqllease"
)

// made is what a database has: tables and indexes.
func made(t *testing.T, db *sql.DB) string {
	t.Helper()
	return ask[string](t, db, `SELECT coalesce(group_concat(name), '') FROM (SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite%' ORDER BY name)`)
}

const all = "runnel_leases,runnel_leases_changes,runnel_leases_cursor"

func TestSetupPutsTheDatabaseIntoWALMode(t *testing.T) {
	_, db, _ := newStore(t)
	if mode := ask[string](t, db, "PRAGMA journal_mode"); mode != "wal" {
		t.Errorf("journal mode %s", mode)
	}
	if got := made(t, db); got != all {
		t.Errorf("made %s; want %s", got, all)
	}
}

func TestTheSchemaIsWhatSetupMakes(t *testing.T) {
	db := open(t, newFile(t), "journal_mode(WAL)")
	s := sqllease.New(db, &sqllease.Config{MustExist: true})
	for range 2 { // a migration may be repeated
		execute(t, db, s.Schema())
	}
	if err := s.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, s, row("a/row", 0))
	_, other, _ := newStore(t)
	const texts = `SELECT group_concat(sql, ';') FROM (SELECT sql FROM sqlite_schema ORDER BY name)`
	if got, want := ask[string](t, db, texts), ask[string](t, other, texts); got != want {
		t.Errorf("made %s; want %s", got, want)
	}
}

func TestMustExistMakesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		mode, remove, want string
		table              bool
	}{
		"no table":         {"WAL", "DROP TABLE runnel_leases", `table "runnel_leases" does not exist`, false},
		"no index":         {"WAL", "DROP INDEX runnel_leases_changes", `index "runnel_leases_changes" does not exist`, false},
		"no counter":       {"WAL", "DROP TABLE runnel_leases_cursor", `table "runnel_leases_cursor" does not exist`, false},
		"no count":         {"WAL", "DELETE FROM runnel_leases_cursor", `the row of table "runnel_leases_cursor" does not exist`, false},
		"another's count":  {"WAL", "UPDATE runnel_leases_cursor SET id = 2", `the row of table "runnel_leases_cursor" does not exist`, false},
		"not in WAL mode":  {"DELETE", "SELECT 1", "PRAGMA journal_mode = WAL once", true},
		"nothing is there": {"WAL", "DROP TABLE runnel_leases; DROP TABLE runnel_leases_cursor", "Store.Schema", false},
	} {
		t.Run(name, func(t *testing.T) {
			db := open(t, newFile(t), "journal_mode("+c.mode+")")
			s := sqllease.New(db, &sqllease.Config{MustExist: true})
			execute(t, db, s.Schema()+c.remove)
			before := made(t, db)
			err := s.Setup(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, lease.ErrTable) != c.table {
				t.Errorf("%v; want it to say %q, and ErrTable: %v", err, c.want, c.table)
			}
			if got := made(t, db); got != before {
				t.Errorf("made %s of %s", got, before)
			}
			if mode := ask[string](t, db, "PRAGMA journal_mode"); !strings.EqualFold(mode, c.mode) {
				t.Errorf("changed the journal mode to %s", mode)
			}
		})
	}
}

func TestSetupMakesWhatIsMissing(t *testing.T) {
	for _, remove := range []string{
		"DROP INDEX runnel_leases_changes", "DROP TABLE runnel_leases_cursor", "DELETE FROM runnel_leases_cursor",
	} {
		t.Run(remove, func(t *testing.T) {
			s, db, _ := newStore(t)
			put(t, s, row("a/1", 0))
			put(t, s, row("a/2", 0))
			last := get(t, s, "a/2").Cursor
			execute(t, db, remove)
			if err := s.Setup(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := made(t, db); got != all {
				t.Errorf("there is %s; want %s", got, all)
			}
			put(t, s, row("a/1", 1))
			if keys := listed(t, s, "a/", last); !slices.Equal(keys, []string{"a/1"}) {
				t.Errorf("listed %q after the last cursor; want the change since", keys)
			}
		})
	}
}

func TestAMissingCounterIsNamed(t *testing.T) {
	s, db, _ := newStore(t)
	execute(t, db, "DELETE FROM runnel_leases_cursor")
	errs := s.Put(t.Context(), []lease.Row{row("a/row", 0)})
	if len(errs) != 1 || !strings.Contains(errs[0].Error(), "runnel_leases_cursor, is gone: Setup makes it") {
		t.Errorf("%v", errs)
	}
}

func TestAStoreWithoutTablesNamesSetup(t *testing.T) {
	s := sqllease.New(open(t, newFile(t)), nil)
	if _, err := s.Get(t.Context(), []string{"a/row"}); err == nil || !strings.Contains(err.Error(), "Setup") {
		t.Errorf("%v", err)
	}
}

func TestATableOfAnotherShapeIsRefused(t *testing.T) {
	const (
		columns = "grp TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, cursor INTEGER NOT NULL, value TEXT NOT NULL"
		rows    = "CREATE TABLE runnel_leases (" + columns + ", PRIMARY KEY (grp, name)) STRICT;"
		counter = "CREATE TABLE runnel_leases_cursor (id INTEGER NOT NULL PRIMARY KEY, last INTEGER NOT NULL) STRICT;"
	)
	with := func(old, replacement string) string { return strings.Replace(rows, old, replacement, 1) }
	for want, ddl := range map[string]string{
		`"runnel_leases" has no column grp`:                                                         "CREATE TABLE runnel_leases (id INTEGER PRIMARY KEY) STRICT",
		`"runnel_leases" is a view; want a table`:                                                   "CREATE VIEW runnel_leases AS SELECT 1",
		`"runnel_leases" is a virtual; want a table`:                                                "CREATE VIRTUAL TABLE runnel_leases USING fts5(grp)",
		`"runnel_leases" is not STRICT`:                                                             with(" STRICT", ""),
		`has the column version TEXT NOT NULL; want INTEGER NOT NULL`:                               with("version INTEGER", "version TEXT"),
		`has the column value BLOB NOT NULL; want TEXT NOT NULL`:                                    with("value TEXT", "value BLOB"),
		`has the column cursor INTEGER; want INTEGER NOT NULL`:                                      with("cursor INTEGER NOT NULL", "cursor INTEGER"),
		`has no column value`:                                                                       with(", value TEXT NOT NULL", ""),
		`has a column owner of its own that must be given a value`:                                  with(", PRIMARY", ", owner TEXT NOT NULL, PRIMARY"),
		`the primary key of "runnel_leases" is (name BINARY, grp BINARY); want`:                     with("(grp, name)", "(name, grp)"),
		`the primary key of "runnel_leases" is (); want`:                                            with(", PRIMARY KEY (grp, name)", ""),
		`the primary key of "runnel_leases" is (grp BINARY, name NOCASE); want`:                     with("name TEXT NOT NULL", "name TEXT NOT NULL COLLATE NOCASE"),
		`index "once" of "runnel_leases" wants (value BINARY) unique`:                               rows + "CREATE UNIQUE INDEX once ON runnel_leases (value)",
		`index "runnel_leases_changes" of "runnel_leases" wants (grp BINARY, cursor BINARY) unique`: rows + "CREATE UNIQUE INDEX runnel_leases_changes ON runnel_leases (grp, cursor)",
		`index "runnel_leases_changes" is on (cursor BINARY); want`:                                 rows + "CREATE INDEX runnel_leases_changes ON runnel_leases (cursor)",
		`index "runnel_leases_changes" cannot be made, for its name is taken`:                       rows + counter + "CREATE INDEX runnel_leases_changes ON runnel_leases (grp, cursor) WHERE cursor > 5",
		`"runnel_leases_changes" is an index of "x"; want an index of "runnel_leases"`:              "CREATE TABLE x (y); CREATE INDEX runnel_leases_changes ON x (y)",
		`"runnel_leases_changes" is a table; want an index of "runnel_leases"`:                      "CREATE TABLE runnel_leases_changes (y)",
		`"runnel_leases" is an index of "x"; want a table`:                                          "CREATE TABLE x (y); CREATE INDEX runnel_leases ON x (y)",
		`"runnel_leases_cursor" is an index of "x"; want a table`:                                   rows + "CREATE TABLE x (y); CREATE INDEX RUNNEL_LEASES_CURSOR ON x (y)",
		`"runnel_leases_cursor" has no column id`:                                                   "CREATE TABLE runnel_leases_cursor (last INTEGER NOT NULL) STRICT",
		`"runnel_leases_cursor" has the column last TEXT NOT NULL; want INTEGER NOT NULL`:           rows + strings.Replace(counter, "last INTEGER", "last TEXT", 1),
		`"runnel_leases_cursor" is not STRICT`:                                                      strings.Replace(counter, " STRICT", "", 1),
		`"runnel_leases" has no column cursor; "runnel_leases" has no column grp; "runnel_leases`:   "CREATE TABLE RUNNEL_LEASES (id INTEGER PRIMARY KEY) STRICT",
	} {
		t.Run(want, func(t *testing.T) {
			db := open(t, newFile(t))
			execute(t, db, ddl)
			before := made(t, db)
			for _, must := range []bool{false, true} {
				err := sqllease.New(db, &sqllease.Config{MustExist: must}).Setup(t.Context())
				if must && strings.Contains(want, "taken") {
					continue // it makes no index
				}
				if !errors.Is(err, lease.ErrTable) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "another Config.Table") {
					t.Errorf("%v; want lease.ErrTable that says %q", err, want)
				}
			}
			if got := made(t, db); got != before {
				t.Errorf("left %s of %s", got, before)
			}
		})
	}
}

// Each store has a table, an index and a counter, and no name of another's.
func TestATableNamedLikeAPartOfAnotherStoreIsRefused(t *testing.T) {
	s, db, _ := newStore(t)
	for name, want := range map[string]string{
		"runnel_leases_changes": `"runnel_leases_changes" is an index of "runnel_leases"; want a table`,
		"runnel_leases_cursor":  `"runnel_leases_cursor" has no column grp`,
	} {
		for _, must := range []bool{false, true} {
			err := sqllease.New(db, &sqllease.Config{Table: name, MustExist: must}).Setup(t.Context())
			if !errors.Is(err, lease.ErrTable) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "another Config.Table") {
				t.Errorf("%s: %v; want lease.ErrTable that says %q", name, err, want)
			}
		}
	}
	if got := made(t, db); got != all {
		t.Errorf("left %s; want %s", got, all)
	}
	put(t, s, row("a/row", 0))
}

func TestColumnsAndIndexesOfOthersAreLeftAlone(t *testing.T) {
	s, db, _ := newStore(t)
	execute(t, db, `ALTER TABLE runnel_leases ADD COLUMN note TEXT;
		ALTER TABLE runnel_leases ADD COLUMN seen INTEGER NOT NULL DEFAULT 0;
		ALTER TABLE runnel_leases ADD COLUMN owner TEXT NOT NULL GENERATED ALWAYS AS (coalesce(json_extract(value, '$.owner'), '')) VIRTUAL;
		CREATE INDEX by_owner ON runnel_leases (owner)`)
	if err := s.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, s, row("a/row", 0))
	execute(t, db, "UPDATE runnel_leases SET note = 'mine'")
	put(t, s, row("a/row", 1))
	if note := ask[string](t, db, "SELECT note FROM runnel_leases"); note != "mine" {
		t.Errorf("note is %q", note)
	}
}

func TestADatabaseThatCannotBeSharedIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		file, want string
		options    url.Values
	}{
		"in memory":               {":memory:", "in memory", nil},
		"temporary":               {"", "temporary", nil},
		"in a shared cache":       {"shared", "in memory", url.Values{"mode": {"memory"}, "cache": {"shared"}}},
		"without a shared memory": {newFile(t), "cannot be made WAL", url.Values{"vfs": {"unix-dotfile"}}},
	} {
		t.Run(name, func(t *testing.T) {
			err := sqllease.New(openWith(t, c.file, c.options), nil).Setup(t.Context())
			if !errors.Is(err, lease.ErrTable) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want lease.ErrTable that says %q", err, c.want)
			}
		})
	}
}

func TestAFileThatIsNoDatabaseIsRefused(t *testing.T) {
	file := newFile(t)
	if err := os.WriteFile(file, []byte(strings.Repeat("no database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := sqllease.New(open(t, file), nil).Setup(t.Context()); !errors.Is(err, lease.ErrTable) || !strings.Contains(err.Error(), "no SQLite database") {
		t.Errorf("%v; want lease.ErrTable", err)
	}
}

func TestAFileThatCannotBeOpenedIsNamed(t *testing.T) {
	err := sqllease.New(open(t, newFile(t)+"/none/leases.db"), nil).Setup(t.Context())
	if err == nil || !strings.Contains(err.Error(), "its directory must exist") || errors.Is(err, lease.ErrTable) || errors.Is(err, lease.ErrDenied) {
		t.Errorf("%v", err)
	}
}

func TestADatabaseThatCannotBeWrittenIsDenied(t *testing.T) {
	_, _, file := newStore(t)
	for name, db := range map[string]*sql.DB{
		"opened to read": openWith(t, file, url.Values{"mode": {"ro"}}),
		"query only":     open(t, file, "query_only(1)"),
	} {
		for _, must := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, must exist %v", name, must), func(t *testing.T) {
				s := sqllease.New(db, &sqllease.Config{MustExist: must})
				if err := s.Setup(t.Context()); !errors.Is(err, lease.ErrDenied) {
					t.Errorf("Setup: %v; want lease.ErrDenied", err)
				}
				if errs := s.Put(t.Context(), batch(0)); len(errs) != 30 || !errors.Is(errs[29], lease.ErrDenied) {
					t.Errorf("Put: %v; want lease.ErrDenied", errs)
				}
				if _, err := s.Get(t.Context(), []string{"a/row"}); err != nil {
					t.Errorf("Get: %v", err)
				}
			})
		}
	}
}

func TestAnOldSQLiteIsRefused(t *testing.T) {
	for version, want := range map[string]bool{"3.36.9": false, "3.37.0": true, "3.100": true, "4.99.0": false, "SQL": false} {
		tp, db := tapped(t, newFile(t))
		tp.instead = func(query string) string {
			return strings.Replace(query, "sqlite_version()", "'"+version+"'", 1)
		}
		err := sqllease.New(db, nil).Setup(t.Context())
		if want && err != nil || !want && (err == nil || !strings.Contains(err.Error(), "of version "+version)) {
			t.Errorf("version %s: %v", version, err)
		}
	}
}

func TestSetupWaitsForTheLock(t *testing.T) {
	file := newFile(t)
	release := lock(t, open(t, file))
	s := sqllease.New(open(t, file), nil)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := s.Setup(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "another connection holds the lock") {
		t.Errorf("Setup of a locked file: %v", err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Setup(t.Context()) }()
	release()
	if err := <-done; err != nil {
		t.Errorf("Setup of a file that was locked: %v", err)
	}
}
