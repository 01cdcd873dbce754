package sqlletters_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strings"
	"sync"
	"testing"

	"modernc.org/sqlite"
)

// tap stands between the pool and the driver of SQLite, and sees each statement.
type tap struct {
	driver.Connector

	mu            sync.Mutex
	before, after func(query string) error // an error keeps the statement from the database, or hides its answer
}

// tapped opens a file through a tap.
func tapped(t *testing.T, file string) (*tap, *sql.DB) {
	t.Helper()
	connector, err := sqlite.NewConnector("file:" + file)
	if err != nil {
		t.Fatal(err)
	}
	tp := &tap{Connector: connector}
	db := sql.OpenDB(tp)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return tp, db
}

// set changes what is done about statements from now on.
func (t *tap) set(before, after func(query string) error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.before, t.after = before, after
}

func (t *tap) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := t.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &tapConn{conn.(tappable), t}, nil
}

// tappable is what a connection of the driver can do.
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

func (c *tapConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return through(c.tap, query, func() (driver.Result, error) { return c.tappable.ExecContext(ctx, query, args) })
}

func (c *tapConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return through(c.tap, query, func() (driver.Rows, error) { return c.tappable.QueryContext(ctx, query, args) })
}

func through[T any](t *tap, query string, run func() (T, error)) (answer T, err error) {
	t.mu.Lock()
	before, after := t.before, t.after
	t.mu.Unlock()
	var none T
	if before != nil {
		if err := before(query); err != nil {
			return none, err
		}
	}
	if answer, err = run(); err != nil {
		return none, err
	}
	if after != nil {
		if err := after(query); err != nil {
			return none, err
		}
	}
	return answer, nil
}

// once fails the first of the statements that begin so.
func once(prefix string, err error) func(string) error {
	done := false
	return func(query string) error {
		if !done && strings.HasPrefix(query, prefix) {
			done = true
			return err
		}
		return nil
	}
}

// coded is an error with a result code, as modernc.org/sqlite has them.
type coded int

func (c coded) Error() string { return fmt.Sprintf("result %d", int(c)) }

func (c coded) Code() int { return int(c) }
