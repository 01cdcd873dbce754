package sqldialect

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// full is the level of PRAGMA synchronous from which a commit is on the disk when it returns, in WAL mode.
const full = 2

// Transact calls f in a transaction that has the lock for writing from its beginning: one that begins as a reader is refused for good as soon as another has written.
func (d SQLite) Transact(ctx context.Context, conn *sql.Conn, f func() (keep bool, err error)) error {
	return durably(ctx, conn, func() error {
		if err := Execute(ctx, conn, "BEGIN IMMEDIATE"); err != nil {
			if d.Transient(err) {
				return err // no transaction was begun
			}
			lastly(ctx, conn, "ROLLBACK")
			return err
		}
		return finish(ctx, conn, f)
	})
}

// Tx calls f in a transaction of package sql, for those who hand it out. It may have begun as a reader: its first statement must be one that writes, so that it gets the lock, or is refused
// while it may be tried again.
func (SQLite) Tx(ctx context.Context, conn *sql.Conn, f func(tx *sql.Tx) (keep bool, err error)) error {
	return durably(ctx, conn, func() error { return transact(ctx, conn, nil, f) })
}

// durably calls f while a commit is on the disk when it returns. One that was acknowledged must survive the loss of power, or an epoch would be handed out twice: a connection that is set to
// less is raised for as long as this takes.
func durably(ctx context.Context, conn *sql.Conn, f func() error) error {
	var level int
	if err := conn.QueryRowContext(ctx, "PRAGMA main.synchronous").Scan(&level); err != nil {
		return err
	}
	if level < full {
		// Deferred first: a statement that was given up may have been executed.
		defer lastly(ctx, conn, fmt.Sprintf("PRAGMA main.synchronous = %d", level))
		if err := Execute(ctx, conn, "PRAGMA main.synchronous = FULL"); err != nil {
			return err
		}
	}
	return f()
}

// Enter marks a transaction of [SQLite.Tx] for [SQLite.Still].
func (SQLite) Enter(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, "SAVEPOINT runnel")
	return err
}

// Still answers an [*EndedError] if a transaction is no longer the one that was entered: a statement of its user has ended it.
func (SQLite) Still(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, "RELEASE runnel")
	if err != nil && ctx.Err() == nil && (errors.Is(err, sql.ErrTxDone) || resultCode(err)&0xff == codeError) {
		return &EndedError{}
	}
	return err
}
