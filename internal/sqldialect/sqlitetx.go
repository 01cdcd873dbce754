package sqldialect

import (
	"context"
	"database/sql"
	"fmt"
)

// full is the level of PRAGMA synchronous from which a commit is on the disk when it returns, in WAL mode.
const full = 2

// Transact calls f in a transaction that has the lock for writing from its beginning: one that begins as a reader is refused for good as soon as another has
// written. A commit that was acknowledged must survive the loss of
// power, or an epoch would be handed out twice: a connection that is set to less is raised for as long as this takes.
func (d SQLite) Transact(ctx context.Context, conn *sql.Conn, f func() (keep bool, err error)) error {
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
	if err := Execute(ctx, conn, "BEGIN IMMEDIATE"); err != nil {
		if d.Transient(err) {
			return err // no transaction was begun
		}
		lastly(ctx, conn, "ROLLBACK")
		return err
	}
	return finish(ctx, conn, f)
}
