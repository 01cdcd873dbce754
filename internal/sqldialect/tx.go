package sqldialect

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"
)

// EndedError says that a transaction was ended by who was only to work in it: what it was to keep is kept or is not.
type EndedError struct{ Err error } // what went wrong beside, or nil

func (e *EndedError) Error() string {
	const text = "the transaction was ended by its user"
	if e.Err == nil {
		return text
	}
	return fmt.Sprintf("%s: %v", text, e.Err)
}

func (e *EndedError) Unwrap() error { return e.Err }

// LostError says that the connection of a transaction was lost before COMMIT: nothing was kept.
type LostError struct {
	Err  error // what f said
	Lost error // what became of the connection
}

func (e *LostError) Error() string {
	return fmt.Sprintf("the connection was lost: %v: %v", e.Lost, e.Err)
}

func (e *LostError) Unwrap() []error { return []error{e.Lost, e.Err} }

// transact calls f in a transaction of package sql, which is rolled back if f fails, panics or keeps nothing, or if ctx ends. A COMMIT that is under way when ctx ends is given a second to be
// answered: else it would not be known whether it was done. Beside what f returns, the error is a [*CommitError], an [*EndedError] or a [*LostError].
func transact(ctx context.Context, conn *sql.Conn, opts *sql.TxOptions, f func(tx *sql.Tx) (keep bool, err error)) error {
	own, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	stop := context.AfterFunc(ctx, end)
	defer stop()
	tx, err := conn.BeginTx(own, opts)
	if err != nil {
		return err
	}
	returned := false
	defer func() {
		if !returned { // f panicked
			_ = undo(conn, tx, end)
		}
	}()
	keep, err := f(tx)
	returned = true
	switch {
	case err != nil || !keep:
		lost := undo(conn, tx, end)
		_, known := errors.AsType[*EndedError](err)
		switch {
		case err == nil || known || lost == nil || ctx.Err() != nil:
			return err
		case errors.Is(lost, sql.ErrTxDone):
			return &EndedError{err}
		}
		return &LostError{err, lost}
	case !stop():
		_ = undo(conn, tx, end)
		return context.Cause(ctx)
	}
	answered := context.AfterFunc(ctx, func() { time.AfterFunc(lastLimit, end) })
	defer answered()
	switch err := tx.Commit(); {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrTxDone) && own.Err() == nil:
		return &EndedError{}
	default:
		return &CommitError{err}
	}
}

// undo rolls back in a second at most. A connection on which that fails is in an unknown state: it is closed, which ends its transaction, and not given back to the pool.
func undo(conn *sql.Conn, tx *sql.Tx, end func()) error {
	defer time.AfterFunc(lastLimit, end).Stop()
	err := tx.Rollback()
	if err != nil && !errors.Is(err, sql.ErrTxDone) {
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	return err
}
