package sqldedup_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/deduptest"
)

// world is a database with tables of effects and of marks, for the suite.
type world struct {
	direct *sql.DB
	prefix string                                    // of all its tables, with the schema
	sink   func(t *testing.T) dedup.Effects[*sql.Tx] // set up
	rest   func(*deduptest.Database[*sql.Tx])        // what else it can do
}

// tablesOf are those of a sink.
var tablesOf = []string{"_seals", "_done", "_dead", "_ids"}

// counters makes the table of effects.
func (w world) counters() string {
	return `CREATE TABLE IF NOT EXISTS ` + w.prefix + `_counters (name text NOT NULL PRIMARY KEY, total bigint NOT NULL, CHECK (total < 1000000))`
}

func (w world) database() deduptest.Database[*sql.Tx] {
	db := deduptest.Database[*sql.Tx]{
		Sink:   w.sink,
		Add:    w.add,
		Total:  w.total,
		Refuse: func(tx *sql.Tx) error { return w.add(tx, "refused", 1000000) },
		Rows:   w.rows,
		Save:   w.save,
	}
	w.rest(&db)
	return db
}

func (w world) add(tx *sql.Tx, name string, n int) error {
	_, err := tx.ExecContext(context.Background(), fmt.Sprintf(`INSERT INTO %s_counters AS c (name, total) VALUES ('%s', %d)
		ON CONFLICT (name) DO UPDATE SET total = c.total + excluded.total`, w.prefix, name, n))
	return err
}

func (w world) total(ctx context.Context, name string) (total int, err error) {
	err = w.direct.QueryRowContext(ctx, fmt.Sprintf(`SELECT coalesce(sum(total), 0) FROM %s_counters WHERE name = '%s'`, w.prefix, name)).Scan(&total)
	return total, err
}

// rows counts those of an application, of which the names are bytes that begin with its own.
func (w world) rows(ctx context.Context, app string) (all int, err error) {
	for _, table := range tablesOf {
		column := "scope"
		if table == "_ids" {
			column = "id"
		}
		var n int
		err = w.direct.QueryRowContext(ctx, fmt.Sprintf(`SELECT count(*) FROM %s%s WHERE substr(%s, 1, %d) = CAST('%s' AS %s)`, w.prefix, table, column, len(app), app, w.bytes())).Scan(&n)
		if err != nil {
			return 0, err
		}
		all += n
	}
	return all, nil
}

func (w world) bytes() string {
	if strings.Contains(w.prefix, ".") {
		return "bytea"
	}
	return "BLOB"
}

// save copies each table, and restore puts the copies in their place.
func (w world) save(t *testing.T) (restore func()) {
	t.Helper()
	for _, table := range append(tablesOf, "_counters") {
		execute(t, w.direct, fmt.Sprintf(`DROP TABLE IF EXISTS %s%s_saved`, w.prefix, table))
		execute(t, w.direct, fmt.Sprintf(`CREATE TABLE %s%s_saved AS SELECT * FROM %[1]s%[2]s`, w.prefix, table))
	}
	return func() {
		for _, table := range append(tablesOf, "_counters") {
			execute(t, w.direct, fmt.Sprintf(`DELETE FROM %s%s`, w.prefix, table))
			execute(t, w.direct, fmt.Sprintf(`INSERT INTO %s%s SELECT * FROM %[1]s%[2]s_saved`, w.prefix, table))
		}
	}
}
