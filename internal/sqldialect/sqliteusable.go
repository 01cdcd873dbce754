package sqldialect

import (
	"context"
	"database/sql"
	"fmt"
)

// Usable checks that several connections and processes can work on the database, and puts it into WAL mode unless mustExist.
func (d SQLite) Usable(ctx context.Context, conn *sql.Conn, mustExist bool) error {
	var version string
	var major, minor int
	if err := conn.QueryRowContext(ctx, `SELECT sqlite_version()`).Scan(&version); err != nil {
		if conn.QueryRowContext(ctx, `SELECT version()`).Scan(&version) == nil {
			return fmt.Errorf("%w: the database is no SQLite but %s: set Config.Dialect to %s.PostgreSQL if it is that: %w", d.Table, version, d.Package, err)
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
		return fmt.Errorf("%w: the database is in memory or temporary, so that each connection has one of its own, or none outlives the process: give a file, or use package %s in one process",
			d.Table, d.Memory)
	}
	err := conn.QueryRowContext(ctx, `PRAGMA main.journal_mode`).Scan(&mode)
	if err == nil && mode != "wal" && !mustExist {
		err = conn.QueryRowContext(ctx, `PRAGMA main.journal_mode = WAL`).Scan(&mode)
	}
	switch {
	case err != nil:
		return fmt.Errorf("put it into WAL mode: %w", err)
	case mode != "wal" && mustExist:
		return fmt.Errorf("%w: the journal mode of the database is %s, and Config.MustExist forbids to change it: execute PRAGMA journal_mode = WAL once, or unset MustExist", d.Table, mode)
	case mode != "wal":
		return fmt.Errorf("%w: the journal mode of the database is %s and cannot be made WAL: is the file on a file system with shared memory, and not on one of the network?", d.Table, mode)
	}
	return nil
}
