package sqldedup

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

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
	// Explain adds what is known of an error by its code. Answered tells whether it has one, and Ails whether that is about the database or who asks, and not about what was asked for.
	Explain(err error) error
	Answered(err error) bool
	Ails(err error) bool
	// schema makes what is missing of the tables, statement by statement, and layout is what they look like then.
	schema(n names) []string
	layout(n names) []sqldialect.Table

	// Tx calls f in a transaction, which enter begins with, and still ends with: it answers an EndedError if another has ended it meanwhile. entered is what the first statement said.
	Tx(ctx context.Context, conn *sql.Conn, f func(tx *sql.Tx) (keep bool, err error)) error
	enter(ctx context.Context, tx *sql.Tx, n names) error
	still(ctx context.Context, tx *sql.Tx, entered string) error

	// query is a statement as the database wants it, of one in which
	//
	//	?1                      is the first parameter
	//	{now}                   is the clock in microseconds since 1970
	//	{entry}                 goes into the first statement that has an answer, as a text
	//	{share s}, {skip}       have a SELECT lock the rows of s for reading, and its rows but for those that are locked
	//	{bytes ?1} {number ?1}  is a parameter of that type
	//	{gate shared}, {gate alone}, {through} begin a statement about the shard ?2 in the scope ?1, and what it reads from, which then waits for its turn
	//	{rows}                  is a table v of rows that come behind the other parameters, and {any} compares with its only column
	//	{in} and {ni}           are around a SELECT, whose answers are compared with, and which is executed once
	query(text string, rows ...column) statement
	// lookup joins a table as d with what is before it, or with NULL where there is none, by an index on all that the condition names.
	lookup(table, condition string) string
	// list executes a statement with rows, and execute one and tells how many rows it changed. Where rows are several statements, so are the answers.
	//
	// folds tells that a statement may write and read at once, and that it is worth it: each is a way to a server.
	folds() bool
	list(ctx context.Context, tx *sql.Tx, s statement, args []any, rows [][]any, scan func(*sql.Rows) error) error
	execute(ctx context.Context, tx *sql.Tx, s statement, args []any, rows [][]any) (changed int64, err error)
}

// statement is one with its columns of rows.
type statement struct {
	text string
	rows []column
}

// column is one of rows that go into a statement.
type column struct {
	name string
	kind kind
}

type kind uint8

const (
	aText kind = iota
	aNumber
	someBytes
)

// parameters is how many a statement has beside its rows.
func parameters(text string) int {
	highest := 0
	for _, found := range parameter.FindAllStringSubmatch(text, -1) {
		highest = max(highest, int(found[1][0]-'0'))
	}
	return highest
}

var (
	parameter = regexp.MustCompile(`\?(\d)`)
	cast      = regexp.MustCompile(`\{(bytes|number) ([?$]\d)\}`)
)

// each calls scan for each row of an answer.
func each(ctx context.Context, tx *sql.Tx, query string, args []any, scan func(*sql.Rows) error) (err error) {
	found, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() {
		if closed := found.Close(); err == nil {
			err = closed
		}
	}()
	for found.Next() {
		if err := scan(found); err != nil {
			return err
		}
	}
	return found.Err()
}

func affected(ctx context.Context, tx *sql.Tx, query string, args ...any) (int64, error) {
	result, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// sqlite has a row of parameters in a statement, which is executed for each: there is no way to a server to save.
type sqlite struct{ sqldialect.SQLite }

func (e sqlite) query(text string, rows ...column) statement {
	first := parameters(text) + 1
	values := make([]string, len(rows))
	for i, c := range rows {
		values[i] = fmt.Sprintf("?%d AS %s", first+i, c.name)
	}
	text = strings.NewReplacer("{entry}", "''", "{share s}", "", "{gate shared}", "", "{gate alone}", "", "{through}", "", "{skip}", "", "{in}", "IN (", "{ni}", ")", "{rows}", `(SELECT `+strings.Join(values, ", ")+`) AS v`, "{any}", fmt.Sprintf("= ?%d", first)).Replace(text)
	text = cast.ReplaceAllString(text, "$2") // values have their types here
	return statement{e.Query(text), rows}
}

func (sqlite) lookup(table, condition string) string {
	return ` LEFT JOIN ` + table + ` AS d ON ` + condition
}

func (sqlite) folds() bool { return false }

func (sqlite) list(ctx context.Context, tx *sql.Tx, s statement, args []any, rows [][]any, scan func(*sql.Rows) error) error {
	for _, row := range rows {
		if err := each(ctx, tx, s.text, append(slices.Clip(args), row...), scan); err != nil {
			return err
		}
	}
	return nil
}

func (sqlite) execute(ctx context.Context, tx *sql.Tx, s statement, args []any, rows [][]any) (changed int64, err error) {
	for _, row := range rows {
		n, err := affected(ctx, tx, s.text, append(slices.Clip(args), row...)...)
		if err != nil {
			return 0, err
		}
		changed += n
	}
	return changed, nil
}

// enter has the lock for writing before anything is read.
func (e sqlite) enter(ctx context.Context, tx *sql.Tx, n names) error {
	if _, err := tx.ExecContext(ctx, `UPDATE `+e.Where(n.seals)+` SET epoch = epoch WHERE false`); err != nil {
		return err
	}
	return e.Enter(ctx, tx)
}

func (e sqlite) still(ctx context.Context, tx *sql.Tx, _ string) error { return e.Still(ctx, tx) }

// postgres has the rows of parameters as the JSON text of one, however many they are, and so as any driver can.
type postgres struct {
	sqldialect.PostgreSQL

	idle time.Duration
}

func (e postgres) query(text string, rows ...column) statement {
	are, values := make([]string, len(rows)), make([]string, len(rows))
	for i, c := range rows {
		are[i], values[i] = c.name+" text", "j."+c.name
		switch c.kind {
		case someBytes:
			values[i] = fmt.Sprintf("decode(j.%s, 'hex') AS %[1]s", c.name)
		case aNumber:
			are[i] = c.name + " bigint"
		}
	}
	table := fmt.Sprintf(`(SELECT %s FROM json_to_recordset(?%d::text::json) AS j (%s)) AS v`, strings.Join(values, ", "), parameters(text)+1, strings.Join(are, ", "))
	one := ""
	if len(rows) == 1 {
		one = fmt.Sprintf(`= ANY (ARRAY(SELECT v.%s FROM %s))`, rows[0].name, table)
	}
	text = strings.NewReplacer("{entry}", e.Entry(e.idle), "{share s}", " FOR SHARE OF s", "{gate shared}", e.gate("_shared"), "{gate alone}", e.gate(""), "{through}", "gate CROSS JOIN ", "{skip}", " FOR UPDATE SKIP LOCKED", "{in}", "= ANY (ARRAY(", "{ni}", "))", "{rows}", table, "{any}", one).Replace(text)
	text = cast.ReplaceAllStringFunc(text, func(found string) string {
		kind, which, _ := strings.Cut(strings.Trim(found, "{}"), " ")
		return which + map[string]string{"bytes": "::bytea", "number": "::bigint"}[kind]
	})
	return statement{e.Query(text), rows}
}

// lookup leaves no choice: the planner, which may know nothing yet of a table, would read all rows of a shard for each call, or for each of its lanes.
func (postgres) lookup(table, condition string) string {
	return ` LEFT JOIN LATERAL (SELECT * FROM ` + table + ` AS d WHERE ` + condition + ` LIMIT 1) AS d ON true`
}

// gate begins a statement that waits for its turn, by a lock for which there is a queue. Two shards with one number would wait for each other, and do no harm.
func (postgres) gate(how string) string {
	return `WITH gate AS MATERIALIZED (SELECT pg_advisory_xact_lock` + how + `(hashtextextended('runnel marks ' || encode({bytes ?1} || {bytes ?2}, 'hex'), 0)))
`
}

// argument is the JSON of rows.
func (s statement) argument(rows [][]any) (string, error) {
	all := make([]map[string]any, len(rows))
	for i, row := range rows {
		all[i] = make(map[string]any, len(row))
		for k, c := range s.rows {
			all[i][c.name] = row[k]
			if b, ok := row[k].([]byte); ok {
				all[i][c.name] = hex.EncodeToString(b)
			}
		}
	}
	text, err := json.Marshal(all)
	return string(text), err
}

func (postgres) folds() bool { return true }

func (postgres) list(ctx context.Context, tx *sql.Tx, s statement, args []any, rows [][]any, scan func(*sql.Rows) error) error {
	text, err := s.argument(rows)
	if err != nil {
		return err
	}
	return each(ctx, tx, s.text, append(slices.Clip(args), text), scan)
}

func (postgres) execute(ctx context.Context, tx *sql.Tx, s statement, args []any, rows [][]any) (changed int64, err error) {
	text, err := s.argument(rows)
	if err != nil {
		return 0, err
	}
	return affected(ctx, tx, s.text, append(slices.Clip(args), text)...)
}

// enter has nothing to do: the first statement that has an answer does it.
func (postgres) enter(context.Context, *sql.Tx, names) error { return nil }

func (e postgres) still(ctx context.Context, tx *sql.Tx, entered string) error {
	return e.Still(ctx, tx, entered)
}
