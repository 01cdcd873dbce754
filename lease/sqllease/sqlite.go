package sqllease

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/runnelhq/runnel/lease"
)

// sqlite is what is SQLite's own: the statements, the transactions, the tables' shape and the meaning of errors.
//
// Cursors are counted in a row of a table of their own, by the transaction that stamps them. SQLite has one writer at a time, so counts are committed in
// their order: who has seen a count has seen, or misses no more, every lower one.
type sqlite struct {
	table, changes, counter              string // names
	list, since, version                 string // reads
	next, create, update, stamp, discard string // writes
}

const selected = `SELECT grp, name, version, cursor, value FROM `

func newSQLite(table string) sqlite {
	e := sqlite{table: table, changes: table + "_changes", counter: table + "_cursor"}
	rows, counter := where(e.table), where(e.counter)
	e.list = selected + rows + ` WHERE grp = ?1`
	e.since = e.list + ` AND cursor > ?2`
	e.version = `SELECT version FROM ` + rows + ` WHERE grp = ?1 AND name = ?2`
	e.next = `UPDATE ` + counter + ` SET last = last + 1 WHERE id = 1 RETURNING last`
	e.create = `INSERT INTO ` + rows + ` (grp, name, version, cursor, value) VALUES (?1, ?2, 1, ?3, ?4) ON CONFLICT (grp, name) DO NOTHING`
	e.update = `UPDATE ` + rows + ` SET version = version + 1, value = ?4 WHERE grp = ?1 AND name = ?2 AND version = ?3`
	e.stamp = `UPDATE ` + rows + ` SET version = version + 1, value = ?4, cursor = ?5 WHERE grp = ?1 AND name = ?2 AND version = ?3`
	e.discard = `DELETE FROM ` + rows + ` WHERE grp = ?1 AND name = ?2 AND version = ?3`
	return e
}

// where names a table for sure: without its schema, a temporary one of the same name would come first.
func where(name string) string { return "main." + quote(name) }

// quote makes an identifier of any name.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// get reads n keys.
func (e *sqlite) get(n int) string {
	return selected + where(e.table) + ` WHERE (grp, name) IN (VALUES ` + strings.TrimSuffix(strings.Repeat("(?, ?), ", n), ", ") + `)`
}

// put is a [change].
func (e *sqlite) put(ctx context.Context, conn *sql.Conn, rows []lease.Row, answers []error) error {
	return e.transact(ctx, conn, func() (keep bool, err error) {
		var count int64
		for _, row := range rows {
			if count == 0 && stamped(row) {
				if count, err = e.count(ctx, conn); err != nil {
					return false, err
				}
			}
		}
		for i, row := range rows {
			group, name, err := split(row.Key)
			if err != nil {
				return false, err
			}
			query, args := e.update, []any{group, name, int64(row.Version), string(row.Value)} //nolint:gosec // checked
			switch {
			case row.Version == 0:
				query, args = e.create, []any{group, name, count, string(row.Value)}
			case stamped(row):
				query, args = e.stamp, append(args, count)
			}
			done, err := affects(ctx, conn, query, args...)
			if answers[i] = nil; err == nil && !done {
				_, answers[i], err = e.conflict(ctx, conn, group, name)
			}
			if err != nil {
				return false, err
			}
			keep = keep || done
		}
		return keep, nil
	})
}

// stamped tells whether a written row gets a new cursor. One that did not exist has no place to keep.
func stamped(row lease.Row) bool { return row.Version == 0 || row.Cursor == "" }

// count makes the cursor of the rows that a transaction stamps: they become visible at once, so one serves all.
func (e *sqlite) count(ctx context.Context, conn *sql.Conn) (count int64, err error) {
	err = conn.QueryRowContext(ctx, e.next).Scan(&count)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("its counter, the row of %s, is gone: Setup makes it", e.counter)
	}
	return count, err
}

// remove is a [change].
func (e *sqlite) remove(ctx context.Context, conn *sql.Conn, rows []lease.Row, answers []error) error {
	return e.transact(ctx, conn, func() (keep bool, err error) {
		for i, row := range rows {
			group, name, err := split(row.Key)
			if err != nil {
				return false, err
			}
			done, err := affects(ctx, conn, e.discard, group, name, int64(row.Version)) //nolint:gosec // checked
			if answers[i] = nil; err == nil && !done {
				var exists bool
				exists, answers[i], err = e.conflict(ctx, conn, group, name)
				if row.Version == 0 && !exists {
					answers[i] = nil
				}
			}
			if err != nil {
				return false, err
			}
			keep = keep || done
		}
		return keep, nil
	})
}

// conflict says what is stored in place of the version that a write was about.
func (e *sqlite) conflict(ctx context.Context, conn *sql.Conn, group, name string) (exists bool, conflict, err error) {
	var version any
	err = conn.QueryRowContext(ctx, e.version, group, name).Scan(&version)
	switch n, ok := version.(int64); {
	case errors.Is(err, sql.ErrNoRows):
		return false, fmt.Errorf("%w: it does not exist", lease.ErrConflict), nil
	case err != nil:
		return false, nil, err
	case !ok:
		return true, fmt.Errorf("%w: its version is %s", lease.ErrConflict, kind(version)), nil
	default:
		return true, fmt.Errorf("%w: it has version %d", lease.ErrConflict, n), nil
	}
}

// affects executes a statement and tells whether it changed a row.
func affects(ctx context.Context, conn *sql.Conn, query string, args ...any) (bool, error) {
	result, err := conn.ExecContext(ctx, query, args...)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}
