package sqlletters_test

import (
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/runnelhq/runnel/deadletter/sqlletters"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(serving{m}) }

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

// newFile is the path of a database that does not exist yet.
func newFile(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "letters.db")
}

// open opens a file, with the driver's default of not waiting for any lock.
func open(t *testing.T, file string, pragmas ...string) *sql.DB {
	t.Helper()
	dsn := url.URL{Scheme: "file", Opaque: file, RawQuery: url.Values{"_pragma": pragmas}.Encode()}
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

// newStore is a store on a file, set up.
func newStore(t *testing.T, file string) (*sqlletters.Store, *sql.DB) {
	t.Helper()
	db := open(t, file)
	s := sqlletters.New(db, nil)
	if err := s.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, db
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
