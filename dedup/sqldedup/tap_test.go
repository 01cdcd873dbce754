package sqldedup_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
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
	statements    []string                 // what was seen, if it is not nil
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
	closeAtEnd(t, db)
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
	driver.ConnBeginTx
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

func (c *tapConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	return through(c.tap, "BEGIN", func() (driver.Tx, error) {
		tx, err := c.tappable.BeginTx(ctx, opts)
		return &tapTx{tx, c.tap}, err
	})
}

type tapTx struct {
	driver.Tx
	tap *tap
}

func (tx *tapTx) Commit() error {
	_, err := through(tx.tap, "COMMIT", func() (any, error) { return nil, tx.Tx.Commit() })
	if err != nil {
		_ = tx.Tx.Rollback() // as a connection that ends does
	}
	if lost, ok := errors.AsType[*lostError](err); ok && lost.then != nil {
		lost.then()
	}
	return err
}

// lostError is the end of a connection, of which another hears first.
type lostError struct{ then func() }

func (*lostError) Error() string { return "the connection has ended" }

func through[T any](t *tap, query string, run func() (T, error)) (answer T, err error) {
	t.mu.Lock()
	if t.statements != nil {
		t.statements = append(t.statements, query)
	}
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
	var mu sync.Mutex
	done := false
	return func(query string) error {
		mu.Lock()
		defer mu.Unlock()
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
