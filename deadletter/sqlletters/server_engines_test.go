//go:build engines

package sqlletters_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"net/url"
	"strings"
	"sync"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "github.com/lib/pq"              // the driver "postgres"

	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/deadletter/letterstest"
	"github.com/runnelhq/runnel/deadletter/sqlletters"
	"github.com/runnelhq/runnel/localstack"
)

// server is the PostgreSQL that tests share, each in a schema of its own.
var server = sync.OnceValues(func() (*localstack.Postgres, error) {
	p, err := localstack.StartPostgres(context.Background(), localstack.Options{})
	if err == nil {
		atEnd = append(atEnd, p.Close)
	}
	return p, err
})

// openServer opens it with a driver and parameters of its connections, "name=value".
func openServer(t *testing.T, driver string, parameters ...string) *sql.DB {
	t.Helper()
	p, err := server()
	if err != nil {
		t.Fatal(err)
	}
	return openAt(t, driver, p.URL, parameters...)
}

func openAt(t *testing.T, driver, address string, parameters ...string) *sql.DB {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	for _, p := range parameters {
		name, value, _ := strings.Cut(p, "=")
		q.Set(name, value)
	}
	u.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20")
	db, err := sql.Open(driver, u.String())
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

// newTable names a table in a schema that is made.
func newTable(t *testing.T) string {
	t.Helper()
	schema := "t_" + strings.ToLower(rand.Text()[:12])
	execute(t, openServer(t, "pgx"), "CREATE SCHEMA "+schema)
	return schema + ".letters"
}

// onServer is a store of a table, set up.
func onServer(t *testing.T, db *sql.DB, table string) *sqlletters.Store {
	t.Helper()
	s := sqlletters.New(db, &sqlletters.Config{Dialect: sqlletters.PostgreSQL, Table: table})
	if err := s.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStoreConformsOnPostgreSQL(t *testing.T) {
	t.Parallel()
	t.Run("one pool", func(t *testing.T) {
		t.Parallel()
		table := newTable(t)
		letterstest.Run(t, func(t *testing.T) deadletter.Store { return onServer(t, openServer(t, "pgx"), table) })
	})
	// As several processes have them, of all drivers, with what roles and connections may be set to; calls go to each in turn.
	t.Run("several pools", func(t *testing.T) {
		t.Parallel()
		table := newTable(t)
		letterstest.Run(t, func(t *testing.T) deadletter.Store {
			s := &inTurn{}
			for _, db := range []*sql.DB{
				openServer(t, "pgx", "default_query_exec_mode=simple_protocol"), // prepares nothing
				openServer(t, "postgres"),
				openServer(t, "pgx", "default_transaction_isolation=serializable", "default_query_exec_mode=exec"),
				openServer(t, "postgres", "default_transaction_isolation=repeatable read", "binary_parameters=yes"),
				openServer(t, "pgx", "synchronous_commit=off", "search_path=pg_catalog"),
			} {
				s.stores = append(s.stores, onServer(t, db, table))
			}
			return s
		})
	})
}
