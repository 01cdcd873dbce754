package sqllease_test

import (
	"database/sql"
	"net/url"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/leasetest"
	"github.com/runnelhq/runnel/lease/sqllease"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newFile is the path of a database that does not exist yet.
func newFile(t *testing.T) string { return filepath.Join(t.TempDir(), "leases.db") }

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

func TestStoreConforms(t *testing.T) {
	leasetest.Run(t, func(t *testing.T) lease.Store { return sqllease.New(open(t, newFile(t)), nil) })
}

func TestStoreOfOneConnectionConforms(t *testing.T) {
	leasetest.Run(t, func(t *testing.T) lease.Store {
		db := open(t, newFile(t), "busy_timeout(1000)", "synchronous(OFF)")
		db.SetMaxOpenConns(1)
		return sqllease.New(db, &sqllease.Config{Table: "odd_Table"})
	})
}
