package sqllease

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
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
		if slices.ContainsFunc(rows, stamped) {
			if count, err = e.count(ctx, conn); err != nil {
				return false, err
			}
		}
		return e.each(ctx, conn, rows, answers, func(row lease.Row, group, name string) (bool, error) {
			version, value := int64(row.Version), string(row.Value) //nolint:gosec // checked
			switch {
			case row.Version == 0:
				return affects(ctx, conn, e.create, group, name, count, value)
			case stamped(row):
				return affects(ctx, conn, e.stamp, group, name, version, value, count)
			default:
				return affects(ctx, conn, e.update, group, name, version, value)
			}
		})
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
		return e.each(ctx, conn, rows, answers, func(row lease.Row, group, name string) (bool, error) {
			if row.Version == 0 {
				_, exists, err := e.stored(ctx, conn, group, name)
				return !exists, err
			}
			return affects(ctx, conn, e.discard, group, name, int64(row.Version)) //nolint:gosec // checked
		})
	})
}

// each applies write to rows. One for which it does nothing is a conflict.
func (e *sqlite) each(ctx context.Context, conn *sql.Conn, rows []lease.Row, answers []error, write func(row lease.Row, group, name string) (done bool, err error)) (keep bool, err error) {
	for i, row := range rows {
		group, name, err := split(row.Key)
		if err != nil {
			return false, err
		}
		done, err := write(row, group, name)
		if err != nil {
			return false, err
		}
		answers[i] = nil // an attempt before this one may have come to another
		if keep = keep || done; done {
			continue
		}
		found, _, err := e.stored(ctx, conn, group, name)
		if err != nil {
			return false, err
		}
		answers[i] = fmt.Errorf("%w: %s", lease.ErrConflict, found)
	}
	return keep, nil
}

// stored tells what there is of a row.
func (e *sqlite) stored(ctx context.Context, conn *sql.Conn, group, name string) (found string, exists bool, err error) {
	var version any
	err = conn.QueryRowContext(ctx, e.version, group, name).Scan(&version)
	switch n, ok := version.(int64); {
	case errors.Is(err, sql.ErrNoRows):
		return "it does not exist", false, nil
	case err != nil:
		return "", false, err
	case !ok:
		return "its version is " + kind(version), true, nil
	default:
		return fmt.Sprintf("it has version %d", n), true, nil
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
