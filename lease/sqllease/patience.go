package sqllease

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/runnelhq/runnel/internal/backoff"
)

// busy is the wait before the next attempt when others are in the way. Most are for the milliseconds of a commit.
var busy = backoff.Policy{Base: 2 * time.Millisecond, Cap: 100 * time.Millisecond}

// patiently calls f with a connection, again and again while others are what keeps it, until ctx ends. f must leave nothing behind when it
// fails so.
func (s *Store) patiently(ctx context.Context, what string, f func(*sql.Conn) error) error {
	var held error
	for n := 1; ; n++ {
		err := s.once(ctx, f)
		if err == nil {
			return nil
		}
		if s.engine.transient(err) {
			held = err
			if backoff.Wait(ctx, busy.Delay(n)) == nil {
				continue
			}
		}
		if held != nil && ctx.Err() != nil { // err may be ctx's, from a driver that waits too
			err = fmt.Errorf("%s, in %d attempts: %w", s.engine.obstacle(), n, held)
		}
		return s.fault(ctx, what, err)
	}
}

// inTurn is patiently for a write: this store has one under way at a time, if they would wait for each other anyway.
func (s *Store) inTurn(ctx context.Context, what string, f func(*sql.Conn) error) error {
	if !s.engine.oneWriter() {
		return s.patiently(ctx, what, f)
	}
	select {
	case s.writing <- struct{}{}:
	case <-ctx.Done():
		return s.fault(ctx, what, errors.New("waiting for another write of this store"))
	}
	defer func() { <-s.writing }()
	return s.patiently(ctx, what, f)
}

// once calls f with a connection of the pool, which it has for itself until it returns.
func (s *Store) once(ctx context.Context, f func(*sql.Conn) error) error {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // gives it back, and complains only of one that was discarded
	return f(conn)
}

// fault says what failed on which table, and what to do where it follows from the error.
func (s *Store) fault(ctx context.Context, what string, err error) error {
	err = s.engine.explain(err)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	return fmt.Errorf("sqllease: table %q: %s: %w", s.cfg.Table, what, err)
}
