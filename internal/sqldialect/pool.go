package sqldialect

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/runnelhq/runnel/internal/backoff"
)

// Judge tells what errors mean: [SQLite] or [PostgreSQL].
type Judge interface {
	// Transient tells of an error that others are the cause of: nothing was done, and it may go well the next time. Obstacle names that cause.
	Transient(err error) bool
	Obstacle() string
	// OneWriter tells that a write waits for every other.
	OneWriter() bool
}

// OneWriter is true: SQLite has one at a time.
func (SQLite) OneWriter() bool { return true }

// OneWriter is false: writers wait for those of the same rows.
func (PostgreSQL) OneWriter() bool { return false }

// busy is the wait before the next attempt when others are in the way. Most are for the milliseconds of a commit.
var busy = backoff.Policy{Base: 2 * time.Millisecond, Cap: 100 * time.Millisecond}

// Pool gives connections of a database to one store.
type Pool struct {
	db      *sql.DB
	judge   Judge
	writing chan struct{} // holds an element while one of this store's writes is under way, if each waits for every other: they wait here in turn, rather than for the lock by chance
}

// NewPool does no I/O.
func NewPool(db *sql.DB, judge Judge) Pool { return Pool{db, judge, make(chan struct{}, 1)} }

// Patiently calls f with a connection, again and again while others are what keeps it, until ctx ends. f must leave nothing behind when it
// fails so.
func (p Pool) Patiently(ctx context.Context, f func(*sql.Conn) error) error {
	var held error
	for n := 1; ; n++ {
		err := p.once(ctx, f)
		if err == nil {
			return nil
		}
		if p.judge.Transient(err) {
			held = err
			if backoff.Wait(ctx, busy.Delay(n)) == nil {
				continue
			}
		}
		if held != nil && ctx.Err() != nil && !leaves(err) { // err may be ctx's, from a driver that waits too
			err = fmt.Errorf("%s, in %d attempts: %w", p.judge.Obstacle(), n, held)
		}
		return err
	}
}

// leaves tells of an error that may have left something behind, which must be heard of whatever was in the way before.
func leaves(err error) bool {
	_, commit := errors.AsType[*CommitError](err)
	_, ended := errors.AsType[*EndedError](err)
	return commit || ended
}

// InTurn is Patiently for a write: a store has one under way at a time, if they would wait for each other anyway.
func (p Pool) InTurn(ctx context.Context, f func(*sql.Conn) error) error {
	if !p.judge.OneWriter() {
		return p.Patiently(ctx, f)
	}
	select {
	case p.writing <- struct{}{}:
	case <-ctx.Done():
		return errors.New("waiting for another write of this store")
	}
	defer func() { <-p.writing }()
	return p.Patiently(ctx, f)
}

// once calls f with a connection of the pool, which it has for itself until it returns.
func (p Pool) once(ctx context.Context, f func(*sql.Conn) error) error {
	conn, err := p.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // gives it back, and complains only of one that was discarded
	return f(conn)
}
