package sqllease

import (
	"context"
	"database/sql"

	"github.com/runnelhq/runnel/internal/sqldialect"
	"github.com/runnelhq/runnel/lease"
)

// Dialect is the kind of a database.
type Dialect string

// The dialects.
const (
	// SQLite is a file, for workers that share one host.
	SQLite Dialect = "sqlite"
	// PostgreSQL is a server, for workers anywhere.
	PostgreSQL Dialect = "postgresql"
)

// engine is what is a database's own: the statements, the transactions, the tables' shape and the meaning of errors. It has no state.
//
// In every one a row is compared and written in one transaction, and cursors are counted in a row of a table of their own, by the transaction that stamps them, which has that row to
// itself until it has ended. So counts are committed in their order: who has seen a count has seen, or misses no more, every lower one.
type engine interface { //nolint:interfacebloat // the wall itself: all that is not SQL in general
	sqldialect.Judge

	// Refuses tells what a table cannot be called, or is "".
	Refuses(table string) string
	// schema makes what is missing of the tables, statement by statement.
	schema() []string
	// setup makes the tables unless mustExist, and checks them.
	setup(ctx context.Context, conn *sql.Conn, mustExist bool) error

	// get reads the columns of rows, of which none is named twice and maxKeys at most.
	get(places []place) (query string, args []any)
	maxKeys() int
	// list reads the columns of a group's rows, and since of those with a later count.
	list(group string) (query string, args []any)
	since(group string, count int64) (query string, args []any)
	// refuse tells of a row that is none but says why the answer does not count.
	refuse(c columns) error

	// put and remove are each a [change].
	put(ctx context.Context, conn *sql.Conn, rows []lease.Row, answers []error) error
	remove(ctx context.Context, conn *sql.Conn, rows []lease.Row, answers []error) error

	// BlamesRow tells of an error that is about one row and not about the database.
	BlamesRow(err error) bool
	// Explain adds what is known of an error by its code.
	Explain(err error) error
}

// change applies a write to the rows, in a transaction of conn, and has each one's answer in answers: nil, or a conflict. An error is about the transaction: nothing
// of it is stored, unless it failed to say so.
type change func(ctx context.Context, conn *sql.Conn, rows []lease.Row, answers []error) error

// stamped tells whether a written row gets a new cursor. One that did not exist has no place to keep.
func stamped(row lease.Row) bool { return row.Version == 0 || row.Cursor == "" }
