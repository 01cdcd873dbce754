package sqldedup

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/internal/sqldialect"
)

// call is a write of marks, and what is decided about them.
type call interface {
	// decide reads what is stored, and tells which marks are fresh.
	decide(ctx context.Context, w *work) (fresh []int, err error)
	// mark writes what was decided, on the condition that it is still fresh, and tells how much of what was written.
	mark(ctx context.Context, w *work) (written, of int64, err error)
	// admitted tells whether the caller may write, where that is asked.
	admitted(ctx context.Context, w *work) error
	// kept is called when what was decided is stored.
	kept()
}

// callOf is the call for marks of one shard.
func (s *Sink) callOf(ms []dedup.Mark, bury bool) call {
	switch id := ms[0].Scope == dedup.PerID; {
	case ms[0].Redrive && id:
		return &revival{m: ms[0]}
	case ms[0].Redrive:
		return &redrive{m: ms[0]}
	case id:
		return &listing{ms: ms, bury: bury}
	}
	return &passage{ms: ms, bury: bury}
}

// Apply is that of [dedup.Effects]. The marks are written before f is called, in its transaction, so that whoever else applies the same records waits, and f does not meet what of its own earlier
// attempt is in doubt.
//
// f must neither commit nor roll back tx, nor use another method of the sink: the error says [ErrEnded] if it did. If it rolled back, that is in a [*dedup.RolledBackError]. If it committed, its
// effects until then are kept with the marks, and the error wraps [dedup.ErrUnsettled]: the call is to be repeated, and finds them.
func (s *Sink) Apply(ctx context.Context, ms []dedup.Mark, f func(tx *sql.Tx, fresh []int) error) error {
	if len(ms) == 0 {
		return nil
	}
	return s.write(ctx, "apply", ms, false, f)
}

// Bury is that of [dedup.Sink].
func (s *Sink) Bury(ctx context.Context, ms []dedup.Mark) error {
	if len(ms) == 0 {
		return nil
	}
	return s.write(ctx, "bury", ms, true, nil)
}

func (s *Sink) write(ctx context.Context, what string, ms []dedup.Mark, bury bool, f func(tx *sql.Tx, fresh []int) error) error {
	c := s.callOf(ms, bury)
	err := s.commit(ctx, c, f)
	if err == nil {
		c.kept()
	}
	if _, rolledBack := errors.AsType[*dedup.RolledBackError](err); rolledBack {
		if p, ok := c.(*passage); ok {
			p.owner.Untry(p.tried)
		}
	}
	return s.fault(ctx, what, ms[0], err)
}

// commit makes an attempt, and finds out what became of it.
func (s *Sink) commit(ctx context.Context, c call, f func(tx *sql.Tx, fresh []int) error) error {
	err := s.within(ctx, func(w *work) (keep bool, err error) { return w.attempt(ctx, c, f) })
	ended, byUser := errors.AsType[*sqldialect.EndedError](err)
	if !byUser && !s.inDoubt(err) {
		return s.blame(err)
	}
	kept, unknown := s.settle(ctx, err, func(w *work) (kept bool, err error) {
		if err := c.admitted(ctx, w); err != nil {
			return false, err
		}
		written, _, err := c.mark(ctx, w)
		return written == 0, err
	})
	switch {
	case unknown != nil:
		return unknown
	case kept && byUser:
		return &doubtError{fmt.Errorf("%w, and kept its effects and the marks: %w", ErrEnded, ended)}
	case kept:
		return nil
	case byUser && ended.Err != nil: // it rolled back, and says why
		return s.blame(ended.Err)
	case byUser:
		return &dedup.RolledBackError{Err: fmt.Errorf("%w, and rolled back", ErrEnded)}
	}
	return undone(err)
}

// effectError is what f said.
type effectError struct{ error }

func (e *effectError) Unwrap() error { return e.error }

// attempt decides, writes the marks and has f make the effects.
func (w *work) attempt(ctx context.Context, c call, f func(tx *sql.Tx, fresh []int) error) (keep bool, err error) {
	fresh, err := c.decide(ctx, w)
	if err != nil || len(fresh) == 0 {
		return false, err
	}
	switch written, of, err := c.mark(ctx, w); {
	case err != nil:
		return false, err
	case written != of:
		return false, errAgain
	}
	if f == nil {
		return true, nil
	}
	err = f(w.tx, fresh)
	still := w.engine.still(ctx, w.tx, w.entered)
	ended, byUser := errors.AsType[*sqldialect.EndedError](still)
	switch {
	case err != nil && byUser:
		return false, &sqldialect.EndedError{Err: &effectError{err}}
	case byUser:
		return false, ended
	case errors.Is(ctx.Err(), context.Canceled): // which undoes the transaction, and is nobody's fault
		return false, errors.Join(err, context.Cause(ctx))
	case err != nil:
		return false, &effectError{err}
	case ctx.Err() != nil: // f took the time that there was
		return false, &effectError{context.Cause(ctx)}
	case still != nil && w.judge.Answered(still) && !w.judge.Ails(still) && !w.judge.Transient(still):
		return false, &effectError{fmt.Errorf("a statement had failed, and the transaction with it: %w", still)}
	}
	return still == nil, still
}
