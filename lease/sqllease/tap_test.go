package sqllease_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"modernc.org/sqlite"

	"github.com/runnelhq/runnel/lease/sqllease"
)

// tap stands between the pool and the driver, and sees each statement.
type tap struct {
	driver.Connector

	connected atomic.Int64 // connections made

	mu         sync.Mutex
	statements []string
	before     func(conn driver.ExecerContext, query string) error // an error keeps the statement from the database
	after      func(conn driver.ExecerContext, query string) error // an error hides its answer
	instead    func(query string) string
	cut        error // ends answers after a row
}

// tapOn is connect through a tap.
func tapOn(at string) (*tap, *sql.DB, *sqllease.Store, error) {
	address, table, server := strings.Cut(at, "#")
	cfg := &sqllease.Config{Table: table}
	var connector driver.Connector
	var err error
	if server {
		cfg.Dialect = sqllease.PostgreSQL
		var parsed *pgx.ConnConfig
		if parsed, err = pgx.ParseConfig(address); err == nil {
			connector = stdlib.GetConnector(*parsed)
		}
	} else {
		connector, err = sqlite.NewConnector("file:" + address)
	}
	tp := &tap{Connector: connector}
	db := sql.OpenDB(tp)
	return tp, db, sqllease.New(db, cfg), err
}

// tapped opens a file through a tap.
func tapped(t *testing.T, file string) (*tap, *sql.DB) {
	t.Helper()
	tp, db, _, err := tapOn(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return tp, db
}

// record begins to keep the statements.
func (t *tap) record() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.statements = []string{}
}

func (t *tap) recorded() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.statements
}

func (t *tap) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := t.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	t.connected.Add(1)
	return &tapConn{conn.(tappable), t}, nil
}

// tappable is what a connection of the drivers can do.
type tappable interface {
	driver.Conn
	driver.ExecerContext
	driver.QueryerContext
	driver.SessionResetter
}

type tapConn struct {
	tappable
	tap *tap
}

// IsValid asks the drivers that can say.
func (c *tapConn) IsValid() bool {
	v, ok := c.tappable.(driver.Validator)
	return !ok || v.IsValid()
}

func (c *tapConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return through(c, query, func(query string) (driver.Result, error) { return c.tappable.ExecContext(ctx, query, args) })
}

func (c *tapConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return through(c, query, func(query string) (driver.Rows, error) {
		rows, err := c.tappable.QueryContext(ctx, query, args)
		if c.tap.cut == nil || err != nil {
			return rows, err
		}
		return &cutRows{Rows: rows, err: c.tap.cut}, nil
	})
}

// cutRows are rows of which one comes and then an error.
type cutRows struct {
	driver.Rows
	err  error
	came bool
}

func (r *cutRows) Next(values []driver.Value) error {
	if r.came {
		return r.err
	}
	r.came = true
	return r.Rows.Next(values)
}

func through[T any](c *tapConn, query string, run func(string) (T, error)) (answer T, err error) {
	t := c.tap
	t.mu.Lock()
	if t.statements != nil {
		t.statements = append(t.statements, query)
	}
	before, after := t.before, t.after
	if t.instead != nil {
		query = t.instead(query)
	}
	t.mu.Unlock()
	var none T
	if before != nil {
		if err := before(c.tappable, query); err != nil {
			return none, err
		}
	}
	if answer, err = run(query); err != nil {
		return none, err
	}
	if after != nil {
		if err := after(c.tappable, query); err != nil {
			return none, err
		}
	}
	return answer, nil
}
