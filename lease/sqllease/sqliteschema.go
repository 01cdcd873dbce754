package sqllease

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/runnelhq/runnel/lease"
)

// schema makes what is missing of the tables, statement by statement. The counter starts at the last cursor if rows are there.
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

// setup makes the tables unless mustExist, and checks them. Everything is seen and made in one transaction that has the lock for writing: of many that make the
// tables, one does, and one that dies leaves nothing half.
func (e *sqlite) setup(ctx context.Context, conn *sql.Conn, mustExist bool) error {
	if err := e.shareable(ctx, conn, mustExist); err != nil {
		return err
	}
	return e.transact(ctx, conn, func() (keep bool, err error) {
		missing, err := e.missing(ctx, conn)
		if err != nil {
			return false, err
		}
		if missing == "" {
			// Shows that this connection may write, too.
			counts, err := affects(ctx, conn, `UPDATE `+where(e.counter)+` SET last = last WHERE id = 1`)
			if counts || err != nil {
				return false, err
			}
			missing = fmt.Sprintf("the row of table %q", e.counter)
		}
		if mustExist {
			return false, fmt.Errorf("%s does not exist, and Config.MustExist forbids to make it: make it as Store.Schema says, or unset MustExist", missing)
		}
		for _, statement := range e.schema() {
			if err := execute(ctx, conn, statement); err != nil {
				return false, err
			}
		}
		if missing, err = e.missing(ctx, conn); err == nil && missing != "" {
			err = fmt.Errorf("%w: %s cannot be made, for its name is taken: use another Config.Table", lease.ErrTable, missing)
		}
		return true, err
	})
}

// shareable checks that several connections and processes can work on the database, and puts it into WAL mode unless mustExist.
func (e *sqlite) shareable(ctx context.Context, conn *sql.Conn, mustExist bool) error {
	var version string
	var major, minor int
	if err := conn.QueryRowContext(ctx, `SELECT sqlite_version()`).Scan(&version); err != nil {
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

// missing names the first of the tables and the index that is not there, or is "". The error is about one that is there and has another shape.
func (e *sqlite) missing(ctx context.Context, conn *sql.Conn) (string, error) {
	rows, err := shapeOf(ctx, conn, e.table)
	if err != nil {
		return "", err
	}
	counter, err := shapeOf(ctx, conn, e.counter)
	if err != nil {
		return "", err
	}
	changes, _, err := kindOf(ctx, conn, e.changes)
	if err != nil {
		return "", err
	}
	faults := rows.differences(map[string]string{
		"grp": "TEXT", "name": "TEXT", "version": "INTEGER", "cursor": "INTEGER", "value": "TEXT",
	})
	faults = append(faults, counter.differences(map[string]string{"id": "INTEGER", "last": "INTEGER"})...)
	if rows.kind == aTable {
		if want := "grp BINARY, name BINARY"; rows.key != want {
			faults = append(faults, fmt.Sprintf("the primary key of %q is (%s); want (%s)", e.table, rows.key, want))
		}
		for _, name := range slices.Sorted(maps.Keys(rows.unique)) {
			faults = append(faults, fmt.Sprintf("index %q of %q wants (%s) unique", name, e.table, rows.unique[name]))
		}
	}
	if want := fmt.Sprintf("an index of %q", e.table); changes != "" && !strings.EqualFold(changes, want) {
		faults = append(faults, fmt.Sprintf("%q is %s; want %s", e.changes, changes, want))
	}
	index := rows.indexes[strings.ToLower(e.changes)]
	if want := "grp BINARY, cursor BINARY"; index != "" && index != want {
		faults = append(faults, fmt.Sprintf("index %q is on (%s); want (%s)", e.changes, index, want))
	}
	switch {
	case faults != nil:
		return "", fmt.Errorf("%w: %s: it is no table of leases: use another Config.Table", lease.ErrTable, strings.Join(faults, "; "))
	case !rows.exists:
		return fmt.Sprintf("table %q", e.table), nil
	case index == "":
		return fmt.Sprintf("index %q", e.changes), nil
	case !counter.exists:
		return fmt.Sprintf("table %q", e.counter), nil
	}
	return "", nil
}
