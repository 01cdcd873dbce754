//go:build engines

package sqllease_test

import (
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/sqllease"
)

// madeIn is what a table's schema has: relations by their names.
func madeIn(t *testing.T, db *sql.DB, table string) string {
	t.Helper()
	schema, _, _ := strings.Cut(table, ".")
	return ask[string](t, db, "SELECT coalesce(string_agg(relname || ' ' || relkind::text, ',' ORDER BY relname), '') FROM pg_class WHERE relnamespace = '"+schema+"'::regnamespace")
}

const allServed = "leases r,leases_changes i,leases_cursor r,leases_cursor_pkey i,leases_pkey i"

func TestManySetUpOneTableInTheSameInstant(t *testing.T) {
	for range 3 {
		table := newTable(t)
		var stores []*sqllease.Store
		for range 10 {
			stores = append(stores, onServer(openServer(t, "pgx", serverURL(t)), table))
		}
		var wg sync.WaitGroup
		for i, s := range stores {
			wg.Go(func() {
				if err := s.Setup(t.Context()); err != nil {
					t.Error(err)
				}
				if errs := s.Put(t.Context(), []lease.Row{row(fmt.Sprintf("a/%d", i), 0)}); errs != nil {
					t.Error(errs)
				}
			})
		}
		wg.Wait()
		if keys := listed(t, stores[0], "a/", ""); len(keys) != len(stores) {
			t.Errorf("listed %q; want a row of each", keys)
		}
	}
}

func TestThePrintedSchemaIsWhatSetupMakes(t *testing.T) {
	_, db, made := newServed(t)
	table := newTable(t)
	s := sqllease.New(db, &sqllease.Config{Dialect: sqllease.PostgreSQL, Table: table, MustExist: true})
	for range 2 { // a migration may be repeated
		execute(t, db, s.Schema())
	}
	if err := s.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, s, row("a/row", 0))
	for _, table := range []string{made, table} {
		if got := madeIn(t, db, table); got != allServed {
			t.Errorf("there is %s; want %s", got, allServed)
		}
	}
}

func TestMustExistMakesNothingOnPostgreSQL(t *testing.T) {
	for remove, want := range map[string]string{
		"DROP TABLE %s":                             `table "leases" does not exist`,
		"DROP INDEX %s_changes":                     `index "leases_changes" does not exist`,
		"DROP TABLE %s_cursor":                      `table "leases_cursor" does not exist`,
		"DELETE FROM %s_cursor":                     `the row of table "leases_cursor" does not exist`,
		"UPDATE %s_cursor SET id = 2":               `the row of table "leases_cursor" does not exist`,
		"DROP TABLE %[1]s; DROP TABLE %[1]s_cursor": "Store.Schema",
	} {
		t.Run(want, func(t *testing.T) {
			s, db, table := newServed(t)
			put(t, s, row("a/1", 0), row("a/2", 0))
			execute(t, db, fmt.Sprintf(remove, table))
			before := madeIn(t, db, table)
			must := sqllease.New(db, &sqllease.Config{Dialect: sqllease.PostgreSQL, Table: table, MustExist: true})
			if err := must.Setup(t.Context()); err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, lease.ErrTable) || errors.Is(err, lease.ErrDenied) {
				t.Errorf("%v; want it to say %q", err, want)
			}
			if got := madeIn(t, db, table); got != before {
				t.Errorf("made %s of %s", got, before)
			}
			if err := s.Setup(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := madeIn(t, db, table); got != allServed {
				t.Errorf("there is %s; want %s", got, allServed)
			}
			last := ""
			if strings.Contains(remove, "cursor") && !strings.Contains(remove, ";") {
				last = get(t, s, "a/1").Cursor
			}
			put(t, s, row("a/later", 0))
			if keys := listed(t, s, "a/", last); !slices.Contains(keys, "a/later") {
				t.Errorf("listed %q after the last cursor; want the change since", keys)
			}
		})
	}
}

func TestATableOfAnotherShapeIsRefusedOnPostgreSQL(t *testing.T) {
	const (
		columns = `grp text COLLATE "C" NOT NULL, name text COLLATE "C" NOT NULL, version bigint NOT NULL, cursor bigint NOT NULL, value text NOT NULL`
		rows    = "CREATE TABLE leases (" + columns + ", PRIMARY KEY (grp, name));"
		counter = "CREATE TABLE leases_cursor (id integer NOT NULL PRIMARY KEY, last bigint NOT NULL);"
	)
	with := func(old, replacement string) string { return strings.Replace(rows, old, replacement, 1) }
	for want, ddl := range map[string]string{
		`"leases" has no column grp`:                                          "CREATE TABLE leases (id int)",
		`"leases" is a view; want a table`:                                    "CREATE VIEW leases AS SELECT 1",
		`"leases" is a materialized view; want a table`:                       "CREATE MATERIALIZED VIEW leases AS SELECT 1",
		`"leases" is a partitioned table; want a table`:                       "CREATE TABLE leases (grp text) PARTITION BY LIST (grp)",
		`"leases" is a sequence; want a table`:                                "CREATE SEQUENCE leases",
		`"leases" is a relation of kind c; want a table`:                      "CREATE TYPE leases AS (x int)",
		`"leases" is UNLOGGED`:                                                strings.Replace(rows, "TABLE", "UNLOGGED TABLE", 1),
		`"leases_cursor" is UNLOGGED`:                                         rows + strings.Replace(counter, "TABLE", "UNLOGGED TABLE", 1),
		`has the column grp text NOT NULL; want text COLLATE "C" NOT NULL`:    with(`grp text COLLATE "C"`, "grp text"),
		`has the column name text COLLATE "POSIX" NOT NULL; want`:             with(`name text COLLATE "C"`, `name text COLLATE "POSIX"`),
		`has the column grp character varying(50) COLLATE "C" NOT NULL; want`: with("grp text", "grp varchar(50)"),
		`has the column version integer NOT NULL; want bigint NOT NULL`:       with("version bigint", "version int"),
		`has the column value jsonb NOT NULL; want text NOT NULL`:             with("value text", "value jsonb"),
		`has the column cursor bigint; want bigint NOT NULL`:                  with("cursor bigint NOT NULL", "cursor bigint"),
		`has no column value`:                                                 with(", value text NOT NULL", ""),
		`has a column owner of its own that must be given a value`:            with(", PRIMARY", ", owner text NOT NULL, PRIMARY"),
		`the primary key of "leases" is (name, grp); want (grp, name)`:        with("(grp, name)", "(name, grp)"),
		`the primary key of "leases" is (); want (grp, name)`:                 with(", PRIMARY KEY (grp, name)", ""),
		`index "leases_pkey" of "leases" wants (grp, name) unique`:            with("(grp, name)", "(grp, name) DEFERRABLE"),
		`index "once" of "leases" wants (value) unique`:                       rows + "CREATE UNIQUE INDEX once ON leases (value)",
		`index "leases_changes" is on (cursor); want (grp, cursor)`:           rows + "CREATE INDEX leases_changes ON leases (cursor)",
		`index "leases_changes" cannot be made, for its name is taken`:        rows + counter + "CREATE INDEX leases_changes ON leases (grp, cursor) WHERE cursor > 5",
		`"leases_changes" is an index of "x"; want an index of "leases"`:      "CREATE TABLE x (y int); CREATE INDEX leases_changes ON x (y)",
		`"leases_changes" is a table; want an index of "leases"`:              "CREATE TABLE leases_changes (y int)",
		`"leases_cursor" has no column id`:                                    "CREATE TABLE leases_cursor (last bigint NOT NULL)",
		`"leases_cursor" has the column last integer NOT NULL; want bigint`:   rows + strings.Replace(counter, "bigint", "int", 1),
	} {
		t.Run(want, func(t *testing.T) {
			table := newTable(t)
			schema, _, _ := strings.Cut(table, ".")
			db := openServer(t, "pgx", serverURL(t, "search_path="+schema))
			execute(t, db, ddl)
			before := madeIn(t, db, table)
			for _, must := range []bool{false, true} {
				err := sqllease.New(db, &sqllease.Config{Dialect: sqllease.PostgreSQL, Table: table, MustExist: must}).Setup(t.Context())
				if must && strings.Contains(want, "taken") {
					continue // it makes no index
				}
				if !errors.Is(err, lease.ErrTable) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "another Config.Table") {
					t.Errorf("%v; want lease.ErrTable that says %q", err, want)
				}
			}
			if got := madeIn(t, db, table); got != before {
				t.Errorf("left %s of %s", got, before)
			}
		})
	}
}

func TestColumnsAndIndexesOfOthersAreLeftAloneOnPostgreSQL(t *testing.T) {
	s, db, table := newServed(t)
	execute(t, db, fmt.Sprintf(`ALTER TABLE %[1]s ADD COLUMN note text;
		ALTER TABLE %[1]s ADD COLUMN seen timestamptz NOT NULL DEFAULT now();
		ALTER TABLE %[1]s ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY;
		ALTER TABLE %[1]s ADD COLUMN owner text GENERATED ALWAYS AS (value::json ->> 'owner') STORED;
		CREATE INDEX ON %[1]s (owner)`, table))
	if err := s.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, s, row("a/row", 0))
	execute(t, db, "UPDATE "+table+" SET note = 'mine'")
	put(t, s, row("a/row", 1))
	if note := ask[string](t, db, "SELECT note FROM "+table); note != "mine" {
		t.Errorf("note is %q", note)
	}
}

// role makes one that can log in and do nothing, and opens the server as it.
func role(t *testing.T, admin *sql.DB) (name string, db *sql.DB) {
	t.Helper()
	name = "r_" + strings.ToLower(rand.Text()[:12])
	execute(t, admin, "CREATE ROLE "+name+" LOGIN PASSWORD 'secret'")
	u, err := url.Parse(serverURL(t))
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(name, "secret")
	return name, openServer(t, "pgx", u.String())
}

// The grants that the package's documentation gives are enough, and none can be left out.
func TestARoleNeedsTheDocumentedGrants(t *testing.T) {
	_, admin, table := newServed(t)
	schema, _, _ := strings.Cut(table, ".")
	name, db := role(t, admin)
	grants := []string{
		"USAGE ON SCHEMA " + schema,
		"SELECT, INSERT, UPDATE, DELETE ON " + table,
		"SELECT, UPDATE ON " + table + "_cursor",
	}
	for _, must := range []bool{false, true} {
		s := sqllease.New(db, &sqllease.Config{Dialect: sqllease.PostgreSQL, Table: table, MustExist: must})
		for _, g := range grants {
			execute(t, admin, "GRANT "+g+" TO "+name)
		}
		if err := s.Setup(t.Context()); err != nil {
			t.Fatal(err)
		}
		key := fmt.Sprintf("a/%v", must)
		put(t, s, row(key, 0))
		put(t, s, row(key, 1))
		if keys := listed(t, s, "a/", ""); len(keys) == 0 {
			t.Error("listed nothing")
		}
		if errs := s.Delete(t.Context(), []lease.Row{row(key, 2)}); errs != nil {
			t.Error(errs)
		}
		for _, revoke := range []string{
			grants[0], "SELECT ON " + table, "INSERT ON " + table, "UPDATE ON " + table, "DELETE ON " + table, "SELECT ON " + table + "_cursor", "UPDATE ON " + table + "_cursor",
		} {
			execute(t, admin, "REVOKE "+revoke+" FROM "+name)
			if err := s.Setup(t.Context()); !errors.Is(err, lease.ErrDenied) {
				t.Errorf("without %s: %v; want lease.ErrDenied", revoke, err)
			}
			execute(t, admin, "GRANT "+revoke+" TO "+name)
		}
	}
	execute(t, admin, "ALTER TABLE "+table+" ENABLE ROW LEVEL SECURITY")
	if err := onServer(db, table).Setup(t.Context()); !errors.Is(err, lease.ErrTable) || !strings.Contains(err.Error(), "row security") {
		t.Errorf("with row security: %v; want lease.ErrTable", err)
	}
}

func TestARoleThatMayNotMakeTablesIsDenied(t *testing.T) {
	_, admin, _ := newServed(t)
	name, db := role(t, admin)
	table := newTable(t)
	schema, _, _ := strings.Cut(table, ".")
	execute(t, admin, "GRANT USAGE ON SCHEMA "+schema+" TO "+name)
	if err := onServer(db, table).Setup(t.Context()); !errors.Is(err, lease.ErrDenied) || !strings.Contains(err.Error(), "CREATE on their schema") {
		t.Errorf("%v; want lease.ErrDenied", err)
	}
	execute(t, admin, "GRANT CREATE ON SCHEMA "+schema+" TO "+name)
	if err := onServer(db, table).Setup(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAWrongPasswordIsDenied(t *testing.T) {
	for _, driver := range []string{"pgx", "postgres"} {
		u, err := url.Parse(serverURL(t))
		if err != nil {
			t.Fatal(err)
		}
		u.User = url.UserPassword("postgres", "wrong")
		if err := onServer(openServer(t, driver, u.String()), "leases").Setup(t.Context()); !errors.Is(err, lease.ErrDenied) {
			t.Errorf("%s: %v; want lease.ErrDenied", driver, err)
		}
	}
}

func TestASchemaThatIsMissingIsNamed(t *testing.T) {
	err := onServer(openServer(t, "pgx", serverURL(t)), "no_such_schema.leases").Setup(t.Context())
	if err == nil || !strings.Contains(err.Error(), "make the schema") || errors.Is(err, lease.ErrTable) || errors.Is(err, lease.ErrDenied) {
		t.Errorf("%v", err)
	}
}

func TestAStoreWithoutTablesNamesSetupOnPostgreSQL(t *testing.T) {
	s := onServer(openServer(t, "pgx", serverURL(t)), newTable(t))
	if _, err := s.Get(t.Context(), []string{"a/row"}); err == nil || !strings.Contains(err.Error(), "Setup") {
		t.Errorf("Get: %v", err)
	}
	for _, err := range s.Put(t.Context(), []lease.Row{row("a/row", 0)}) {
		if err == nil || errors.Is(err, lease.ErrConflict) || !strings.Contains(err.Error(), "Setup") {
			t.Errorf("Put: %v", err)
		}
	}
}

func TestADatabaseOfAnotherDialectIsNamed(t *testing.T) {
	sqlite, server := open(t, newFile(t)), openServer(t, "pgx", serverURL(t))
	if err := onServer(sqlite, "leases").Setup(t.Context()); err == nil || !strings.Contains(err.Error(), "PostgreSQL, which Config.Dialect says the database is") {
		t.Errorf("%v", err)
	}
	if err := sqllease.New(server, nil).Setup(t.Context()); !errors.Is(err, lease.ErrTable) || !strings.Contains(err.Error(), "set Config.Dialect to sqllease.PostgreSQL") {
		t.Errorf("%v", err)
	}
}

// An encoding that cannot hold every key is refused; a language of sorting is not, for keys have their own.
func TestDatabasesOfOtherEncodingsAndLanguages(t *testing.T) {
	admin := openServer(t, "pgx", serverURL(t))
	for options, want := range map[string]string{
		"ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'": "the encoding of the database is LATIN1",
		"ENCODING 'SQL_ASCII'":                          "the encoding of the database is SQL_ASCII",
		"LOCALE_PROVIDER icu ICU_LOCALE 'de-DE'":        "",
	} {
		name := "d_" + strings.ToLower(rand.Text()[:12])
		execute(t, admin, "CREATE DATABASE "+name+" TEMPLATE template0 "+options)
		u, err := url.Parse(serverURL(t))
		if err != nil {
			t.Fatal(err)
		}
		u.Path = "/" + name
		s := onServer(openServer(t, "pgx", u.String()), "")
		err = s.Setup(t.Context())
		switch {
		case want != "":
			if !errors.Is(err, lease.ErrTable) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v; want lease.ErrTable that says %q", options, err, want)
			}
		case err != nil:
			t.Errorf("%s: %v", options, err)
		default:
			put(t, s, row("a/a", 0), row("a/A", 0), row("a/\u00e4", 0), row("a/a\u0308", 0), row("A/a", 0))
			if keys := listed(t, s, "a/", ""); len(keys) != 4 {
				t.Errorf("%s: listed %q", options, keys)
			}
		}
	}
}
