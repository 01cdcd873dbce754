package sqllease_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"go.uber.org/goleak"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/sqllease"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		if err := roles[role](context.Background(), os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(serving{m})
}

// serving closes what tests share, before anybody looks for what they left.
type serving struct{ *testing.M }

// atEnd closes it.
var atEnd []func() error

func (s serving) Run() int {
	code := s.M.Run()
	for _, f := range atEnd {
		if err := f(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	return code
}

// connect opens the store that is at a place, as another process does: a file of SQLite, or the URL of a PostgreSQL with a table after #.
func connect(at string) (*sql.DB, *sqllease.Store, error) {
	address, table, server := strings.Cut(at, "#")
	if !server {
		db, err := sql.Open("sqlite", at)
		return db, sqllease.New(db, nil), err
	}
	db, err := sql.Open("pgx", address)
	return db, sqllease.New(db, &sqllease.Config{Dialect: sqllease.PostgreSQL, Table: table}), err
}

// connected is connect for a test.
func connected(t *testing.T, at string) (*sql.DB, *sqllease.Store) {
	t.Helper()
	db, s, err := connect(at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db, s
}

// newFile is the path of a database that does not exist yet.
func newFile(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "leases.db")
}

// open opens a file, with the driver's default of not waiting for any lock.
func open(t *testing.T, file string, pragmas ...string) *sql.DB {
	t.Helper()
	return openWith(t, file, url.Values{"_pragma": pragmas})
}

func openWith(t *testing.T, file string, options url.Values) *sql.DB {
	t.Helper()
	dsn := url.URL{Scheme: "file", Opaque: file, RawQuery: options.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// newStore is a store on a file of its own, set up.
func newStore(t *testing.T) (s *sqllease.Store, db *sql.DB, file string) {
	t.Helper()
	file = newFile(t)
	db = open(t, file)
	s = sqllease.New(db, nil)
	if err := s.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, db, file
}

// row makes a row to write, with a value that tells versions apart.
func row(key string, version uint64) lease.Row {
	return lease.Row{Key: key, Version: version, Value: fmt.Appendf(nil, `{"version":%d}`, version+1)}
}

func put(t *testing.T, s lease.Store, rows ...lease.Row) {
	t.Helper()
	if errs := s.Put(t.Context(), rows); errs != nil {
		t.Fatal(errs)
	}
}

func get(t *testing.T, s lease.Store, key string) lease.Row {
	t.Helper()
	rows, err := s.Get(t.Context(), []string{key})
	if err != nil {
		t.Fatal(err)
	}
	return rows[0]
}

// listed are the keys of a listing.
func listed(t *testing.T, s lease.Store, group, after string) []string {
	t.Helper()
	keys := []string{}
	for row, err := range s.List(t.Context(), group, after) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, row.Key)
	}
	return keys
}

func execute(t *testing.T, db *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// ask is the single value that a query has.
func ask[T any](t *testing.T, db *sql.DB, query string) (value T) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), query).Scan(&value); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return value
}
