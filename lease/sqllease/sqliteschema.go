package sqllease

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/runnelhq/runnel/lease"
)

// schema has the counter start at the last cursor if rows are there.
func (e *sqlite) schema() []string {
	return []string{
		`CREATE TABLE IF NOT EXISTS ` + where(e.table) + ` (
  grp     TEXT    NOT NULL,
  name    TEXT    NOT NULL,
  version INTEGER NOT NULL,
  cursor  INTEGER NOT NULL,
  value   TEXT    NOT NULL,
  PRIMARY KEY (grp, name)
) STRICT`,
		`CREATE INDEX IF NOT EXISTS ` + where(e.changes) + ` ON ` + quote(e.table) + ` (grp, cursor)`,
		`CREATE TABLE IF NOT EXISTS ` + where(e.counter) + ` (
  id   INTEGER NOT NULL PRIMARY KEY,
  last INTEGER NOT NULL
) STRICT`,
		`INSERT INTO ` + where(e.counter) + ` (id, last)
  SELECT 1, coalesce(max(cursor), 0) FROM ` + where(e.table) + ` WHERE true ON CONFLICT (id) DO NOTHING`,
	}
}

// setup sees and makes everything in one transaction that has the lock for writing: of many that make the
// tables, one does, and one that dies leaves nothing half.
func (e *sqlite) setup(ctx context.Context, conn *sql.Conn, mustExist bool) error {
	if err := e.shareable(ctx, conn, mustExist); err != nil {
		return err
	}
	t := tables{
		layout: layout{
			names: e.names,
			rows:  map[string]string{"grp": "TEXT", "name": "TEXT", "version": "INTEGER", "cursor": "INTEGER", "value": "TEXT"},
			count: map[string]string{"id": "INTEGER", "last": "INTEGER"},
			key:   "grp BINARY, name BINARY", index: "grp BINARY, cursor BINARY",
		},
		schema: e.schema(), touch: `UPDATE ` + where(e.counter) + ` SET last = last WHERE id = 1`, look: e.look,
	}
	return e.transact(ctx, conn, func() (keep bool, err error) { return t.setup(ctx, conn, mustExist) })
}

// shareable checks that several connections and processes can work on the database, and puts it into WAL mode unless mustExist.
func (e *sqlite) shareable(ctx context.Context, conn *sql.Conn, mustExist bool) error {
	var version string
	var major, minor int
	if err := conn.QueryRowContext(ctx, `SELECT sqlite_version()`).Scan(&version); err != nil {
		if conn.QueryRowContext(ctx, `SELECT version()`).Scan(&version) == nil {
			return fmt.Errorf("%w: the database is no SQLite but %s: set Config.Dialect to sqllease.PostgreSQL if it is that: %w", lease.ErrTable, version, err)
		}
		return fmt.Errorf("ask for the version of SQLite, which the database must be: %w", err)
	}
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err != nil || major != 3 || minor < 37 {
		return fmt.Errorf("SQLite is of version %s: this store needs 3.37 or a later 3: update the driver", version)
	}
	var file, mode string
	if err := conn.QueryRowContext(ctx, `SELECT coalesce(file, '') FROM pragma_database_list WHERE name = 'main'`).Scan(&file); err != nil {
		return err
	}
	if file == "" {
		return fmt.Errorf("%w: the database is in memory or temporary, so that each connection has one of its own, or none outlives the process: give a file, or use package memlease in one process",
			lease.ErrTable)
	}
	err := conn.QueryRowContext(ctx, `PRAGMA main.journal_mode`).Scan(&mode)
	if err == nil && mode != "wal" && !mustExist {
		err = conn.QueryRowContext(ctx, `PRAGMA main.journal_mode = WAL`).Scan(&mode)
	}
	switch {
	case err != nil:
		return fmt.Errorf("put it into WAL mode: %w", err)
	case mode != "wal" && mustExist:
		return fmt.Errorf("%w: the journal mode of the database is %s, and Config.MustExist forbids to change it: execute PRAGMA journal_mode = WAL once, or unset MustExist", lease.ErrTable, mode)
	case mode != "wal":
		return fmt.Errorf("%w: the journal mode of the database is %s and cannot be made WAL: is the file on a file system with shared memory, and not on one of the network?", lease.ErrTable, mode)
	}
	return nil
}
