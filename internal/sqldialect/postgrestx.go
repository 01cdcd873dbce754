package sqldialect

import (
	"context"
	"database/sql"
)

// begin begins a transaction as it must be, whatever the role, the database and the connection are set to: only for this transaction, so that a pooler may give the next one to
// another server process.
//
// A worker that stops in the middle, for its host lost its power or its network, would keep what it locked until the server notices, in hours by default. A commit that was
// acknowledged must survive the loss of power, or an epoch would be handed out twice; remote_apply is more and stays. Whether the server may be written is not changed: where it is set to
// read only somebody has a reason.
const begin = `BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = '5s'; ` +
	`SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')`

// Transact calls f in a transaction. Under READ COMMITTED a statement that waited for another's write sees it, and compares versions anew.
func (d PostgreSQL) Transact(ctx context.Context, conn *sql.Conn, f func() (keep bool, err error)) error {
	if err := Execute(ctx, conn, begin); err != nil {
		lastly(ctx, conn, "ROLLBACK") // it may have begun
		return err
	}
	return finish(ctx, conn, f)
}
