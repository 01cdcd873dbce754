package sqldedup

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/internal/sqldialect"
)

// work is a transaction of the sink.
type work struct {
	*Sink

	tx      *sql.Tx
	entered string // what its first statement said
}

// errAgain: another wrote what was read before. Nothing was done, and the next attempt sees it.
var errAgain = errors.New("another call wrote the same marks")

// judge tells which errors an attempt may be repeated for.
type judge struct{ engine }

// Transient tells also of what f met of others, but where it has the only lock: there it met itself.
func (j judge) Transient(err error) bool {
	if _, effect := errors.AsType[*effectError](err); effect && j.OneWriter() {
		return false
	}
	return errors.Is(err, errAgain) || j.engine.Transient(err)
}

// within calls f with a transaction, again if others kept it from being done.
func (s *Sink) within(ctx context.Context, f func(w *work) (keep bool, err error)) error {
	return s.pool.InTurn(ctx, func(conn *sql.Conn) error {
		return s.engine.Tx(ctx, conn, func(tx *sql.Tx) (keep bool, err error) {
			if err := s.engine.enter(ctx, tx, s.names); err != nil {
				return false, err
			}
			return f(&work{Sink: s, tx: tx})
		})
	})
}

// enter is the first statement of a transaction that reads nothing.
func (w *work) enter(ctx context.Context) error {
	return w.tx.QueryRowContext(ctx, w.begin.text).Scan(&w.entered)
}

// inDoubt tells of a COMMIT of which it is not known whether it was done. One that was refused for what it was to keep was not.
func (s *Sink) inDoubt(err error) bool {
	_, commit := errors.AsType[*sqldialect.CommitError](err)
	return commit && !s.judge.Transient(err) && (!s.judge.Answered(err) || s.judge.Ails(err))
}

// blame tells the errors that are due to f, or to the effects that it wanted, from all others. No COMMIT is in doubt.
func (s *Sink) blame(err error) error {
	if _, lost := errors.AsType[*sqldialect.LostError](err); lost || s.judge.Transient(err) || s.judge.Ails(err) {
		return err
	}
	if effect, ok := errors.AsType[*effectError](err); ok {
		return &dedup.RolledBackError{Err: effect.error}
	}
	if commit, ok := errors.AsType[*sqldialect.CommitError](err); ok && s.judge.Answered(err) {
		return &dedup.RolledBackError{Err: commit}
	}
	return err
}

// impatience is between attempts to learn what became of a COMMIT. Most are lost with their server.
var impatience = backoff.Policy{Base: 5 * time.Millisecond, Cap: time.Second}

// doubtError is why it is not known whether a call was done, or, with [ErrEnded], known only to who calls again.
type doubtError struct{ error }

func (e *doubtError) Unwrap() error { return e.error }

// settle finds out whether a COMMIT was done, by a look at what it was to write, in a transaction of which nothing is kept. look waits for one that is still in doubt: it locks, or writes the same once more, which
// changes nothing after one that was done. It is tried until ctx ends, or another has sealed: that is the answer then, whatever happened.
func (s *Sink) settle(ctx context.Context, why error, look func(w *work) (kept bool, err error)) (kept bool, unknown error) {
	for n := 1; ; n++ {
		err := s.within(ctx, func(w *work) (_ bool, err error) {
			kept, err = look(w)
			return false, err
		})
		if err == nil {
			return kept, nil
		}
		if _, refused := errors.AsType[*dedup.RefusedError](err); refused {
			return false, err
		}
		if cause := backoff.Wait(ctx, impatience.Delay(n)); cause != nil {
			return false, &doubtError{fmt.Errorf("%w: %w; to find out: %w", cause, why, err)}
		}
	}
}

// settled is the error of a write that nobody but the sink has a part in, once it is known.
func (s *Sink) settled(ctx context.Context, err error, look func(w *work) (kept bool, err error)) error {
	if !s.inDoubt(err) {
		return err
	}
	kept, unknown := s.settle(ctx, err, look)
	if unknown != nil || kept {
		return unknown
	}
	return undone(err)
}

// undone is the error of a COMMIT of which it was found out that it was not done.
func undone(err error) error {
	if commit, ok := errors.AsType[*sqldialect.CommitError](err); ok {
		err = commit.Err
	}
	return fmt.Errorf("the transaction was not kept: %w", err)
}

// fault is the error of a call of the sink, of one kind. It is nil if nothing failed.
func (s *Sink) fault(ctx context.Context, what string, m dedup.Mark, err error) error {
	if err == nil {
		return nil
	}
	if rolled, ok := errors.AsType[*dedup.RolledBackError](err); ok {
		return rolled
	}
	for _, said := range []error{dedup.ErrFenced, dedup.ErrNotSealed, dedup.ErrGeneration, dedup.ErrScope, dedup.ErrOutOfOrder, dedup.ErrPending} {
		if errors.Is(err, said) {
			return err
		}
	}
	kind := dedup.ErrUnavailable
	if _, doubt := errors.AsType[*doubtError](err); doubt {
		kind = dedup.ErrUnsettled
	}
	return fmt.Errorf("%w: %w", kind, s.explained(ctx, fmt.Sprintf("%s in shard %q", what, m.Shard), err))
}
