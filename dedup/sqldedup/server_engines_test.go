//go:build engines

package sqldedup_test

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

	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/deduptest"
	"github.com/runnelhq/runnel/dedup/sqldedup"
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

func serverURL(t *testing.T) string {
	t.Helper()
	p, err := server()
	must(t, err)
	return p.URL
}

// openServer opens it with a driver and parameters of its connections, "name=value".
func openServer(t *testing.T, driver string, parameters ...string) *sql.DB {
	t.Helper()
	return openAt(t, driver, serverURL(t), parameters...)
}

func openAt(t *testing.T, driver, address string, parameters ...string) *sql.DB {
	t.Helper()
	u, err := url.Parse(address)
	must(t, err)
	q := u.Query()
	for _, p := range parameters {
		name, value, _ := strings.Cut(p, "=")
		q.Set(name, value)
	}
	u.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20")
	db, err := sql.Open(driver, u.String())
	must(t, err)
	closeAtEnd(t, db)
	return db
}

// newTable names tables in a schema that is made, beside one of effects.
func newTable(t *testing.T) string {
	t.Helper()
	schema := "t_" + strings.ToLower(rand.Text()[:12])
	db := openServer(t, "pgx")
	execute(t, db, "CREATE SCHEMA "+schema)
	execute(t, db, strings.ReplaceAll(effects, " effects ", " "+schema+".effects "))
	return schema + ".marks"
}

// in are the parameters of connections to a schema, in which a test names its effects as in SQLite.
func in(table string) string {
	schema, _, _ := strings.Cut(table, ".")
	return "search_path=" + schema
}

// onServer is a sink of tables, set up.
func onServer(t *testing.T, db *sql.DB, table string) *sqldedup.Sink {
	t.Helper()
	return configured(t, db, sqldedup.Config{Table: table})
}

func configured(t *testing.T, db *sql.DB, cfg sqldedup.Config) *sqldedup.Sink {
	t.Helper()
	cfg.Dialect = sqldedup.PostgreSQL
	s := sqldedup.New(db, &cfg)
	must(t, s.Setup(t.Context()))
	return s
}

// newServed is a sink in tables of its own, set up, and a database in whose schema effects are.
func newServed(t *testing.T) (s *sqldedup.Sink, db *sql.DB, table string) {
	t.Helper()
	table = newTable(t)
	db = openServer(t, "pgx", in(table))
	return onServer(t, db, table), db, table
}

func TestSinkConformsOnPostgreSQL(t *testing.T) {
	t.Parallel()
	// As several processes have them, with what roles and connections may be set to.
	for name, of := range map[string]struct {
		driver     string
		parameters []string
	}{
		"pgx":                           {"pgx", nil},
		"pgx that prepares nothing":     {"pgx", []string{"default_query_exec_mode=simple_protocol", "default_transaction_isolation=serializable"}},
		"pq":                            {"postgres", nil},
		"pq in binary, repeatable read": {"postgres", []string{"binary_parameters=yes", "default_transaction_isolation=repeatable read", "synchronous_commit=off"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table := newTable(t)
			direct := openServer(t, "pgx")
			w := world{direct: direct, prefix: table}
			onServer(t, direct, table)
			execute(t, direct, w.counters())
			deduptest.Run(t, deduptest.Harness[*sql.Tx]{Open: func(t *testing.T) deduptest.Database[*sql.Tx] {
				line, through := newWire(t, serverURL(t))
				w := w
				w.sink = func(t *testing.T) dedup.Effects[*sql.Tx] {
					return sqldedup.New(openAt(t, of.driver, through, of.parameters...), &sqldedup.Config{Dialect: sqldedup.PostgreSQL, Table: table})
				}
				w.rest = func(db *deduptest.Database[*sql.Tx]) {
					db.LoseAnswer = func(_ *testing.T, then func()) { line.lose(true, then) }
					db.LoseWrite = func(_ *testing.T, then func()) { line.lose(false, then) }
					db.Down = func(_ *testing.T, down bool) { line.set(down) }
				}
				return w.database()
			}})
		})
	}
}
