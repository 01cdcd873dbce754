package sqllease

import (
	"context"
	"database/sql"

	"github.com/runnelhq/runnel/internal/sqldialect"
)

// schema has the counter start at the last cursor if rows are there.
func (e *sqlite) schema() []string {
	return []string{
		`CREATE TABLE IF NOT EXISTS ` + e.Where(e.table) + ` (
  grp     TEXT    NOT NULL,
  name    TEXT    NOT NULL,
  version INTEGER NOT NULL,
  cursor  INTEGER NOT NULL,
  value   TEXT    NOT NULL,
  PRIMARY KEY (grp, name)
) STRICT`,
		`CREATE INDEX IF NOT EXISTS ` + e.Where(e.changes) + ` ON ` + sqldialect.Quote(e.table) + ` (grp, cursor)`,
		`CREATE TABLE IF NOT EXISTS ` + e.Where(e.counter) + ` (
  id   INTEGER NOT NULL PRIMARY KEY,
  last INTEGER NOT NULL
) STRICT`,
		`INSERT INTO ` + e.Where(e.counter) + ` (id, last)
  SELECT 1, coalesce(max(cursor), 0) FROM ` + e.Where(e.table) + ` WHERE true ON CONFLICT (id) DO NOTHING`,
	}
}

// setup sees and makes everything in one transaction that has the lock for writing: of many that make the
// tables, one does, and one that dies leaves nothing half.
func (e *sqlite) setup(ctx context.Context, conn *sql.Conn, mustExist bool) error {
	if err := e.Usable(ctx, conn, mustExist); err != nil {
		return err
	}
	t := tables{
		layout: layout{
			names: e.names,
			rows:  map[string]string{"grp": "TEXT", "name": "TEXT", "version": "INTEGER", "cursor": "INTEGER", "value": "TEXT"},
			count: map[string]string{"id": "INTEGER", "last": "INTEGER"},
			key:   "grp BINARY, name BINARY", index: "grp BINARY, cursor BINARY",
		},
		schema: e.schema(), touch: `UPDATE ` + e.Where(e.counter) + ` SET last = last WHERE id = 1`, look: e.Look,
	}
	return e.Transact(ctx, conn, func() (keep bool, err error) { return t.setup(ctx, conn, mustExist) })
}
