package sqldialect

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"time"
)

// lastLimit is how long a connection may take to be left as it was: one that hangs must not hold up its caller.
const lastLimit = time.Second

// finish calls f in a transaction that has begun, and ends it: it is kept if f says that there is something to keep.
func finish(ctx context.Context, conn *sql.Conn, f func() (keep bool, err error)) error {
	keep, err := f()
	if err == nil && keep {
		if err = Execute(ctx, conn, "COMMIT"); err != nil {
			err = &CommitError{err}
		}
	}
	if err != nil || !keep {
		lastly(ctx, conn, "ROLLBACK")
	}
	return err
}

// CommitError is the error of a COMMIT. Unless its code says otherwise, it is not known whether the transaction was kept.
type CommitError struct{ Err error }

func (e *CommitError) Error() string { return fmt.Sprintf("commit: %v", e.Err) }

func (e *CommitError) Unwrap() error { return e.Err }

// lastly executes what leaves a connection as it was, also when ctx has ended. A connection on which that fails is in an unknown state: it is closed, which ends its
// transaction, and not given back to the pool. No such statement waits for a lock.
func lastly(ctx context.Context, conn *sql.Conn, query string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastLimit)
	defer cancel()
	if err := Execute(ctx, conn, query); err != nil {
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	}
}

// Execute executes a statement without an answer.
func Execute(ctx context.Context, conn *sql.Conn, query string) error {
	_, err := conn.ExecContext(ctx, query)
	return err
}

// Affects executes a statement and tells whether it changed a row.
func Affects(ctx context.Context, conn *sql.Conn, query string, args ...any) (bool, error) {
	result, err := conn.ExecContext(ctx, query, args...)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}
