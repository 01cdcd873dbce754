package sqldialect

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
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

// Tx calls f in a transaction of package sql, for those who hand it out. Of its first statement the value of [PostgreSQL.Entry] is asked.
func (PostgreSQL) Tx(ctx context.Context, conn *sql.Conn, f func(tx *sql.Tx) (keep bool, err error)) error {
	return transact(ctx, conn, &sql.TxOptions{Isolation: sql.LevelReadCommitted}, f)
}

// Entry is an expression for a statement with which a transaction of [PostgreSQL.Tx] begins: it sets for the transaction what Transact sets, with idle for five seconds, and its value names the
// transaction to [PostgreSQL.Still]. So it costs no round trip.
func (PostgreSQL) Entry(idle time.Duration) string {
	return fmt.Sprintf(`(SELECT concat(pg_current_xact_id(), left(set_config('idle_in_transaction_session_timeout', '%d', true), 0), `+
		`CASE WHEN current_setting('synchronous_commit') IN ('off', 'local', 'remote_write') THEN left(set_config('synchronous_commit', 'on', true), 0) END))`, idle.Milliseconds())
}

// Still answers an [*EndedError] if a transaction is no longer the one that was entered: a statement of its user has ended it.
func (PostgreSQL) Still(ctx context.Context, tx *sql.Tx, entered string) error {
	var now sql.NullString
	err := tx.QueryRowContext(ctx, `SELECT pg_current_xact_id_if_assigned()::text`).Scan(&now)
	if err == nil && now.String != entered || errors.Is(err, sql.ErrTxDone) && ctx.Err() == nil {
		return &EndedError{}
	}
	return err
}
