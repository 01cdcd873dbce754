//go:build engines

package sqllease_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/lib/pq" // the driver "postgres"

	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/leasetest"
	"github.com/runnelhq/runnel/lease/sqllease"
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

// serverURL is its address, with parameters of the connection.
func serverURL(t *testing.T, parameters ...string) string {
	t.Helper()
	p, err := server()
	if err != nil {
		t.Fatal(err)
	}
	return with(t, p.URL, parameters...)
}

// with adds parameters, "name=value", to an address: a driver sets them when it connects.
func with(t *testing.T, address string, parameters ...string) string {
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
	return u.String()
}

func openServer(t *testing.T, driver, address string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, address)
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
	execute(t, openServer(t, "pgx", serverURL(t)), "CREATE SCHEMA "+schema)
	return schema + ".leases"
}

// onServer is a store of a table.
func onServer(db *sql.DB, table string) *sqllease.Store {
	return sqllease.New(db, &sqllease.Config{Dialect: sqllease.PostgreSQL, Table: table})
}

// newServed is a store in a table of its own, set up, with the parameters of its connections.
func newServed(t *testing.T, parameters ...string) (s *sqllease.Store, db *sql.DB, table string) {
	t.Helper()
	table = newTable(t)
	db = openServer(t, "pgx", serverURL(t, parameters...))
	s = onServer(db, table)
	if err := s.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, db, table
}

// tappedServed is a store behind a tap in a table of its own, set up, and one in the same table that is not.
func tappedServed(t *testing.T, parameters ...string) (tp *tap, s, other *sqllease.Store, db *sql.DB) {
	t.Helper()
	other, _, table := newServed(t)
	tp, db, s, err := tapOn(serverURL(t, parameters...) + "#" + table)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return tp, s, other, db
}

// within is a context for what must not take long.
func within(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

func TestStoreConformsOnPostgreSQL(t *testing.T) {
	t.Parallel()
	pool := func(driver string, parameters ...string) func(t *testing.T) *sql.DB {
		return func(t *testing.T) *sql.DB { return openServer(t, driver, serverURL(t, parameters...)) }
	}
	t.Run("one pool", func(t *testing.T) {
		t.Parallel()
		table := newTable(t)
		leasetest.Suite{
			New:    func(t *testing.T) lease.Store { return onServer(pool("pgx")(t), table) },
			Faulty: faultyServed,
		}.Run(t)
	})
	// As several processes have them, of all drivers, with what roles and connections may be set to; calls go to each in turn.
	t.Run("several pools", func(t *testing.T) {
		t.Parallel()
		table := newTable(t)
		leasetest.Run(t, func(t *testing.T) lease.Store {
			only := pool("pgx", "default_query_exec_mode=simple_protocol")(t) // prepares nothing
			only.SetMaxOpenConns(1)
			s := &inTurn{stores: []lease.Store{onServer(only, table)}}
			for _, open := range []func(t *testing.T) *sql.DB{
				pool("postgres"),
				pool("pgx", "default_transaction_isolation=serializable", "default_query_exec_mode=exec"),
				pool("postgres", "default_transaction_isolation=repeatable read", "binary_parameters=yes"),
				pool("pgx", "synchronous_commit=off", "search_path=pg_catalog"),
			} {
				s.stores = append(s.stores, onServer(open(t), table))
			}
			return s
		})
	})
}

// Each driver and mode brings every byte there and back.
func TestEachDriverKeepsWhatIsWritten(t *testing.T) {
	for name, at := range map[string][2]string{
		"pgx": {"pgx"}, "pgx that prepares nothing": {"pgx", "default_query_exec_mode=simple_protocol"}, "pgx without descriptions": {"pgx", "default_query_exec_mode=exec"},
		"pq": {"postgres"}, "pq in binary": {"postgres", "binary_parameters=yes"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, table := newServed(t)
			s := onServer(openServer(t, at[0], serverURL(t, strings.Fields(at[1])...)), table)
			for i, text := range []string{"{}", ` { "a" : 1e3 } `, `"'' $1 ? \u0000 \\ \n"`, "\"\u00e9 \u4e16 \U0001F600\"", "\"\u2028<&>\x7f\"", "\t1\r\n"} {
				r := lease.Row{Key: fmt.Sprintf("a'$1?\\/%d \u00e9", i), Value: []byte(text)}
				put(t, s, r)
				if got := get(t, s, r.Key); got.Version != 1 || string(got.Value) != text {
					t.Errorf("version %d and value %q; want 1 and %q", got.Version, got.Value, text)
				}
				r.Version = 1
				if errs := s.Delete(t.Context(), []lease.Row{r}); errs != nil {
					t.Error(errs)
				}
			}
		})
	}
}

// faultyServed is a store whose network has faults, and one in the same table whose network has none.
func faultyServed(t *testing.T) leasetest.Faulty {
	direct, _, table := newServed(t)
	u, err := url.Parse(serverURL(t))
	if err != nil {
		t.Fatal(err)
	}
	line, err := leasetest.NewProxy(u.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := line.Close(); err != nil {
			t.Error(err)
		}
	})
	u.Host = line.Addr()
	return leasetest.Faulty{Store: onServer(openServer(t, "pgx", u.String()), table), Direct: direct, Line: line}
}

func TestManyProcessesSetUpOneTable(t *testing.T) { manyMake(t, serverURL(t)+"#"+newTable(t)) }

func TestHazard21OneOfSeveralProcessesWinsEachVersionOnPostgreSQL(t *testing.T) {
	_, _, table := newServed(t)
	race(t, serverURL(t)+"#"+table)
}

func TestAKilledProcessLeavesNothingHalfAndLosesNothingOnPostgreSQL(t *testing.T) {
	for range 4 {
		_, _, table := newServed(t)
		killAWriter(t, serverURL(t)+"#"+table)
	}
}

// The server sees that a process is gone, and takes back what it was about to write. Rows that it did not write wait for nothing.
func TestAProcessStuckInAWriteHoldsUpThoseOfItsRowsUntilItIsKilled(t *testing.T) {
	_, _, table := newServed(t)
	killAStuckOne(t, serverURL(t)+"#"+table, row("a/0", 1), "write 30 rows")
}

func TestShardsOfAKilledProcessGoOnInAnotherOnPostgreSQL(t *testing.T) {
	killAWorker(t, serverURL(t)+"#"+newTable(t))
}

func TestTwoWorkersShareAStreamAndHandOverOnPostgreSQL(t *testing.T) {
	shareAndHandOver(t, serverURL(t)+"#"+newTable(t))
}
