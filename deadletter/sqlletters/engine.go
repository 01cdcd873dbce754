package sqlletters

import (
	"fmt"

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
	sqldialect.Maker

	// Refuses tells what a table cannot be called, or is "".
	Refuses(table string) string
	// Where names a table for sure.
	Where(table string) string
	// Explain adds what is known of an error by its code.
	Explain(err error) error
	// schema makes what is missing of the tables, statement by statement, and layout is what they look like then.
	schema(n names) []string
	layout(n names) []sqldialect.Table

	// Query is a statement as the database wants it.
	Query(text string) string
	// counts is a query for an answer of n columns, the last one a text, in the order of its first two columns. If it does not count, its last row tells why, and has NULL in the first column.
	counts(text string, n int) string
	// Refuse is the error of such a row.
	Refuse(why any) error
}

type sqlite struct{ sqldialect.SQLite }

func (e sqlite) counts(text string, _ int) string { return e.Query(text) }

// Refuse has nothing to refuse: there is one file, and whoever reads it reads what was committed.
func (sqlite) Refuse(why any) error {
	return fmt.Errorf("the answer has a row without a letter: %v", why)
}

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

// The primary key of the letters is the table itself and no index.
func (sqlite) layout(n names) []sqldialect.Table {
	return []sqldialect.Table{
		{
			Name:    n.letters,
			Columns: map[string]string{"seq": "INTEGER", "scope": "BLOB", "place": "BLOB", "id": "BLOB", "letter": "TEXT", "history": "TEXT", "payload": "BLOB"},
			Indexes: []sqldialect.Index{{Name: n.ids, Columns: "id BINARY", Unique: true}, {Name: n.order, Columns: "scope BINARY, place BINARY, seq BINARY"}},
		},
		{
			Name:    n.keys,
			Columns: map[string]string{"scope": "BLOB", "place": "BLOB", "key": "TEXT", "parked": "INTEGER", "token": "TEXT", "until": "INTEGER"},
			Key:     "scope BINARY, place BINARY",
		},
	}
}

type postgres struct{ sqldialect.PostgreSQL }

func (e postgres) counts(text string, n int) string {
	return `SELECT * FROM (` + e.Query(text) + `) AS answer UNION ALL ` + e.NotThePrimary(n) + ` ORDER BY 1 NULLS LAST, 2`
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

func (postgres) layout(n names) []sqldialect.Table {
	return []sqldialect.Table{
		{
			Name:    n.letters,
			Columns: map[string]string{"seq": "bigint", "scope": "bytea", "place": "bytea", "id": "bytea", "letter": "text", "history": "text", "payload": "bytea"},
			Key:     "seq",
			Indexes: []sqldialect.Index{{Name: n.ids, Columns: "id", Unique: true}, {Name: n.order, Columns: "scope, place, seq"}},
		},
		{
			Name:    n.keys,
			Columns: map[string]string{"scope": "bytea", "place": "bytea", "key": "text", "parked": "bigint", "token": "text", "until": "bigint"},
			Key:     "scope, place",
		},
	}
}
