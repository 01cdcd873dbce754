package sqllease

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/runnelhq/runnel/internal/sqldialect"
	"github.com/runnelhq/runnel/lease"
)

// sqlite is the engine of SQLite, which has one writer at a time.
type sqlite struct {
	sqldialect.SQLite
	names

	all, later, version                  string // reads
	next, create, update, stamp, discard string // writes
}

const selected = `SELECT grp, name, version, cursor, value FROM `

func newSQLite(table string) *sqlite {
	e := &sqlite{SQLite: sqldialect.SQLite{Keeper: keeper}, names: namesOf(table)}
	rows, counter := e.Where(e.table), e.Where(e.counter)
	e.all = selected + rows + ` WHERE grp = ?1`
	e.later = e.all + ` AND cursor > ?2`
	e.version = `SELECT version FROM ` + rows + ` WHERE grp = ?1 AND name = ?2`
	e.next = `UPDATE ` + counter + ` SET last = last + 1 WHERE id = 1 RETURNING last`
	e.create = `INSERT INTO ` + rows + ` (grp, name, version, cursor, value) VALUES (?1, ?2, 1, ?3, ?4) ON CONFLICT (grp, name) DO NOTHING`
	e.update = `UPDATE ` + rows + ` SET version = version + 1, value = ?4 WHERE grp = ?1 AND name = ?2 AND version = ?3`
	e.stamp = `UPDATE ` + rows + ` SET version = version + 1, value = ?4, cursor = ?5 WHERE grp = ?1 AND name = ?2 AND version = ?3`
	e.discard = `DELETE FROM ` + rows + ` WHERE grp = ?1 AND name = ?2 AND version = ?3`
	return e
}

// maxKeys takes two parameters each, and SQLite before 3.32 takes 999.
func (*sqlite) maxKeys() int { return 250 }

func (e *sqlite) get(places []place) (query string, args []any) {
	for _, p := range places {
		args = append(args, p.group, p.name)
	}
	return selected + e.Where(e.table) + ` WHERE (grp, name) IN (VALUES ` + strings.TrimSuffix(strings.Repeat("(?, ?), ", len(places)), ", ") + `)`, args
}

func (e *sqlite) list(group string) (query string, args []any) { return e.all, []any{group} }

func (e *sqlite) since(group string, count int64) (query string, args []any) {
	return e.later, []any{group, count}
}

// refuse has nothing to refuse: there is one file, and whoever reads it reads what was committed.
func (*sqlite) refuse(columns) error { return nil }

func (e *sqlite) put(ctx context.Context, conn *sql.Conn, rows []lease.Row, answers []error) error {
	return e.Transact(ctx, conn, func() (keep bool, err error) {
		var count int64
		if slices.ContainsFunc(rows, stamped) {
			if count, err = e.count(ctx, conn); err != nil {
				return false, err
			}
		}
		return e.each(ctx, conn, rows, answers, func(row lease.Row, at place) (bool, error) {
			version, value := int64(row.Version), string(row.Value) //nolint:gosec // checked
			switch {
			case row.Version == 0:
				return sqldialect.Affects(ctx, conn, e.create, at.group, at.name, count, value)
			case stamped(row):
				return sqldialect.Affects(ctx, conn, e.stamp, at.group, at.name, version, value, count)
			default:
				return sqldialect.Affects(ctx, conn, e.update, at.group, at.name, version, value)
			}
		})
	})
}

// count makes the cursor of the rows that a transaction stamps: they become visible at once, so one serves all.
func (e *sqlite) count(ctx context.Context, conn *sql.Conn) (count int64, err error) {
	err = conn.QueryRowContext(ctx, e.next).Scan(&count)
	return count, e.countError(err)
}

func (e *sqlite) remove(ctx context.Context, conn *sql.Conn, rows []lease.Row, answers []error) error {
	return e.Transact(ctx, conn, func() (keep bool, err error) {
		return e.each(ctx, conn, rows, answers, func(row lease.Row, at place) (bool, error) {
			if row.Version == 0 {
				_, exists, err := e.stored(ctx, conn, at)
				return !exists, err
			}
			return sqldialect.Affects(ctx, conn, e.discard, at.group, at.name, int64(row.Version)) //nolint:gosec // checked
		})
	})
}

// each applies write to rows. One for which it does nothing is a conflict.
func (e *sqlite) each(ctx context.Context, conn *sql.Conn, rows []lease.Row, answers []error, write func(row lease.Row, at place) (done bool, err error)) (keep bool, err error) {
	for i, row := range rows {
		at, err := split(row.Key)
		if err != nil {
			return false, err
		}
		done, err := write(row, at)
		if err != nil {
			return false, err
		}
		answers[i] = nil // an attempt before this one may have come to another
		if keep = keep || done; done {
			continue
		}
		found, _, err := e.stored(ctx, conn, at)
		if err != nil {
			return false, err
		}
		answers[i] = fmt.Errorf("%w: %s", lease.ErrConflict, found)
	}
	return keep, nil
}

// stored tells what there is of a row.
func (e *sqlite) stored(ctx context.Context, conn *sql.Conn, at place) (found string, exists bool, err error) {
	var version any
	err = conn.QueryRowContext(ctx, e.version, at.group, at.name).Scan(&version)
	switch n, ok := version.(int64); {
	case errors.Is(err, sql.ErrNoRows):
		return absent, false, nil
	case err != nil:
		return "", false, err
	case !ok:
		return "its version is " + kind(version), true, nil
	default:
		return present(n), true, nil
	}
}
