package sqlletters

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"strings"

	"github.com/runnelhq/runnel/internal/sqldialect"
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

// engine is what is a database's own. It has no state.
type engine interface { //nolint:interfacebloat // the wall itself: all that is not SQL in general
	sqldialect.Judge

	// Refuses tells what a table cannot be called, or is "".
	Refuses(table string) string
	// Where names a table for sure.
	Where(table string) string
	// Transact calls f in a transaction, whose statements see what was committed before each, and keeps it if f says so.
	Transact(ctx context.Context, conn *sql.Conn, f func() (keep bool, err error)) error
	// Explain adds what is known of an error by its code.
	Explain(err error) error

	// Usable checks that the database is one that letters can be in, and Look sees what has a name in it.
	Usable(ctx context.Context, conn *sql.Conn, mustExist bool) error
	Look(ctx context.Context, conn *sql.Conn, name string) (sqldialect.Shape, error)
	// schema makes what is missing of the tables, statement by statement, and layout is what they look like then.
	schema(n names) []string
	layout(n names) layout
	// alone has others that make the same tables wait until the transaction ends, and permitted checks that the role may do what a store does.
	alone(ctx context.Context, conn *sql.Conn, n names) error
	permitted(ctx context.Context, conn *sql.Conn, n names) error

	// query is a statement as the database wants it, of one in which ?1 is the first parameter, {now} the clock in microseconds since 1970 and {lock} what has a SELECT lock its rows.
	query(text string) string
	// counts is a query for an answer of n columns, the last one a text, in the order of its first two columns. If it does not count, its last row tells why, and has NULL in the first column.
	counts(text string, n int) string
	// Refuse is the error of such a row.
	Refuse(why any) error
}

type sqlite struct{ sqldialect.SQLite }

// sqliteClock is the host's, which all processes that share the file have.
const sqliteClock = `CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)`

func (sqlite) query(text string) string {
	return strings.NewReplacer("{now}", sqliteClock, "{lock}", "").Replace(text)
}

func (e sqlite) counts(text string, _ int) string { return e.query(text) }

// Refuse has nothing to refuse: there is one file, and whoever reads it reads what was committed.
func (sqlite) Refuse(why any) error {
	return fmt.Errorf("the answer has a row without a letter: %v", why)
}

// alone has nothing to do: a transaction has the lock for writing.
func (sqlite) alone(context.Context, *sql.Conn, names) error { return nil }

func (sqlite) permitted(context.Context, *sql.Conn, names) error { return nil }

func (e sqlite) schema(n names) []string {
	return []string{
		`CREATE TABLE IF NOT EXISTS ` + e.Where(n.letters) + ` (
  seq     INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  scope   BLOB    NOT NULL,
  place   BLOB    NOT NULL,
  id      BLOB    NOT NULL,
  letter  TEXT    NOT NULL,
  history TEXT    NOT NULL,
  payload BLOB    NOT NULL
) STRICT`,
		`CREATE UNIQUE INDEX IF NOT EXISTS ` + e.Where(n.ids) + ` ON ` + sqldialect.Quote(n.letters) + ` (id)`,
		`CREATE INDEX IF NOT EXISTS ` + e.Where(n.order) + ` ON ` + sqldialect.Quote(n.letters) + ` (scope, place, seq)`,
		`CREATE TABLE IF NOT EXISTS ` + e.Where(n.keys) + ` (
  scope  BLOB    NOT NULL,
  place  BLOB    NOT NULL,
  key    TEXT    NOT NULL,
  parked INTEGER NOT NULL,
  token  TEXT    NOT NULL,
  until  INTEGER NOT NULL,
  PRIMARY KEY (scope, place)
) STRICT`,
	}
}

func (sqlite) layout(n names) layout {
	return layout{
		names:   n,
		letters: map[string]string{"seq": "INTEGER", "scope": "BLOB", "place": "BLOB", "id": "BLOB", "letter": "TEXT", "history": "TEXT", "payload": "BLOB"},
		keys:    map[string]string{"scope": "BLOB", "place": "BLOB", "key": "TEXT", "parked": "INTEGER", "token": "TEXT", "until": "INTEGER"},
		// The primary key of the letters is the table itself and no index.
		ofKeys: "scope BINARY, place BINARY", ids: "id BINARY", order: "scope BINARY, place BINARY, seq BINARY",
	}
}

type postgres struct{ sqldialect.PostgreSQL }

// postgresClock is the server's, and of this moment: that of the transaction stands still while it waits for a lock.
const postgresClock = `(extract(epoch FROM clock_timestamp()) * 1000000)::bigint`

var parameter = regexp.MustCompile(`\?(\d)`)

func (postgres) query(text string) string {
	return parameter.ReplaceAllString(strings.NewReplacer("{now}", postgresClock, "{lock}", " FOR UPDATE").Replace(text), "$$$1")
}

func (e postgres) counts(text string, n int) string {
	return `SELECT * FROM (` + e.query(text) + `) AS answer UNION ALL ` + e.NotThePrimary(n) + ` ORDER BY 1 NULLS LAST, 2`
}

func (e postgres) alone(ctx context.Context, conn *sql.Conn, n names) error {
	_, err := conn.ExecContext(ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1::text, 0))`, "runnel "+e.Where(n.letters))
	return err
}

func (e postgres) permitted(ctx context.Context, conn *sql.Conn, n names) error {
	var role, lacks string
	err := conn.QueryRowContext(ctx, `SELECT current_user, coalesce(string_agg(p || ' on ' || t, ', ' ORDER BY t, p), '')
  FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS p, unnest(ARRAY[$1::text, $2::text]) AS t WHERE NOT has_table_privilege(t, p)`,
		e.Where(n.letters), e.Where(n.keys)).Scan(&role, &lacks)
	if err == nil && lacks != "" {
		err = fmt.Errorf("%w: the role %q lacks %s", ErrDenied, role, lacks)
	}
	return err
}

// schema numbers letters by an identity column, of which the role needs no privilege of its own.
func (e postgres) schema(n names) []string {
	return []string{
		`CREATE TABLE IF NOT EXISTS ` + e.Where(n.letters) + ` (
  seq     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  scope   bytea NOT NULL,
  place   bytea NOT NULL,
  id      bytea NOT NULL,
  letter  text NOT NULL,
  history text NOT NULL,
  payload bytea NOT NULL
)`,
		`CREATE UNIQUE INDEX IF NOT EXISTS ` + sqldialect.Quote(n.ids) + ` ON ` + e.Where(n.letters) + ` (id)`,
		`CREATE INDEX IF NOT EXISTS ` + sqldialect.Quote(n.order) + ` ON ` + e.Where(n.letters) + ` (scope, place, seq)`,
		`CREATE TABLE IF NOT EXISTS ` + e.Where(n.keys) + ` (
  scope  bytea NOT NULL,
  place  bytea NOT NULL,
  key    text NOT NULL,
  parked bigint NOT NULL,
  token  text NOT NULL,
  until  bigint NOT NULL,
  PRIMARY KEY (scope, place)
)`,
	}
}

func (postgres) layout(n names) layout {
	return layout{
		names:     n,
		letters:   map[string]string{"seq": "bigint", "scope": "bytea", "place": "bytea", "id": "bytea", "letter": "text", "history": "text", "payload": "bytea"},
		keys:      map[string]string{"scope": "bytea", "place": "bytea", "key": "text", "parked": "bigint", "token": "text", "until": "bigint"},
		ofLetters: "seq", ofKeys: "scope, place", ids: "id", order: "scope, place, seq",
	}
}
