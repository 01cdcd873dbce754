package main

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/dedup"
)

// The tally is in the database of the marks, so that one transaction writes both: a vote counts and its record is marked, or neither. It is delivered at least once, and
// counts once.
const tallySchema = `
-- Who counted which shard, and what came of it.
CREATE TABLE tenures (
	id          INTEGER PRIMARY KEY,
	stream      TEXT NOT NULL, -- its incarnation
	shard       TEXT NOT NULL,
	epoch       INTEGER NOT NULL, -- rises whenever the shard changes hands
	owner       TEXT NOT NULL,
	at          INTEGER NOT NULL, -- when its first records were handled, in milliseconds since 1970
	applied     INTEGER NOT NULL,
	redelivered INTEGER NOT NULL, -- records that came again, and were left out
	other       INTEGER NOT NULL, -- records that are no votes of this run
	UNIQUE (stream, shard, epoch)
);
-- Each record that was applied, in the order in which they were. Nothing here is unique: a record that is applied twice is here twice.
CREATE TABLE records (
	id       INTEGER PRIMARY KEY,
	tenure   INTEGER NOT NULL,
	position TEXT NOT NULL, -- in the form that sorts as text
	voter    TEXT NOT NULL,
	n        INTEGER NOT NULL
);
CREATE TABLE voters (
	voter     TEXT PRIMARY KEY,
	ballot    INTEGER NOT NULL, -- the voter's latest
	candidate TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE tally (
	candidate TEXT PRIMARY KEY,
	votes     INTEGER NOT NULL
);
`

// tally counts the votes of a run, on behalf of one worker.
type tally struct {
	db     *sql.DB
	marks  dedup.Effects[*sql.Tx] // in db
	owner  string
	run    string
	decode func(consumer.Record) (vote, error)
	now    func() time.Time
}

// Handle counts the votes of those records that were not counted yet, and how many were.
func (t *tally) Handle(ctx context.Context, rs []consumer.Record) error {
	fresh := 0
	err := consumer.Once(t.marks, func(ctx context.Context, tx *sql.Tx, rs []consumer.Record) error {
		fresh = len(rs)
		return t.count(ctx, tx, rs)
	}).Handle(ctx, rs)
	if again := len(rs) - fresh; err == nil && again > 0 {
		_, err = t.tenure(ctx, t.db, rs[0], 0, again, 0)
	}
	return err
}

// count counts the votes of records that are of one shard, in one transaction. What else is on the stream – another run's votes, another program's records – is left alone.
func (t *tally) count(ctx context.Context, tx *sql.Tx, rs []consumer.Record) error {
	votes := make([]*vote, len(rs))
	applied := 0
	for i, r := range rs {
		if v, err := t.decode(r); err == nil && v.Run == t.run {
			votes[i] = &v
			applied++
		}
	}
	tenure, err := t.tenure(ctx, tx, rs[0], applied, 0, len(rs)-applied)
	if err != nil {
		return err
	}
	count, err := prepareCount(ctx, tx, tenure)
	if err != nil {
		return err
	}
	for i, v := range votes {
		if v == nil {
			continue
		}
		if err := count.vote(ctx, *v, rs[i].Position.Sort()); err != nil {
			return fmt.Errorf("count record %s: %w", rs[i].Position, err)
		}
	}
	return nil
}

// querier is a database or a transaction.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// tenure adds to what this worker has done with the shard of a record since it has it, and returns the number of that.
func (t *tally) tenure(ctx context.Context, q querier, r consumer.Record, applied, redelivered, other int) (id int64, err error) {
	err = q.QueryRowContext(ctx, `INSERT INTO tenures (stream, shard, epoch, owner, at, applied, redelivered, other) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (stream, shard, epoch) DO UPDATE SET
			applied = applied + excluded.applied, redelivered = redelivered + excluded.redelivered, other = other + excluded.other
		RETURNING id`,
		r.Stream, r.Shard, r.Epoch, t.owner, t.now().UnixMilli(), applied, redelivered, other).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("shard %s: note what was done: %w", r.Shard, err)
	}
	return id, nil
}
