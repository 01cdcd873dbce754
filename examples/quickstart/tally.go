package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
)

// The tally and how far it holds each shard are in one database, so that one transaction writes both: a vote counts and its position moves on, or
// neither. It is delivered at least once, and counts once.
const tallySchema = `
-- Who counted which shard, from where, and how far the tally holds it. The row with the highest epoch of a shard is its seal.
CREATE TABLE seals (
	id          INTEGER PRIMARY KEY,
	stream      TEXT NOT NULL, -- its incarnation
	shard       TEXT NOT NULL,
	epoch       INTEGER NOT NULL, -- rises whenever the shard changes hands
	owner       TEXT NOT NULL,
	at          INTEGER NOT NULL, -- when its first records were handled, in milliseconds since 1970
	start       TEXT NOT NULL,    -- what the tally held then: positions in the form that sorts as text
	low         TEXT NOT NULL,    -- what it holds now
	applied     INTEGER NOT NULL DEFAULT 0,
	redelivered INTEGER NOT NULL DEFAULT 0, -- records that came again, and were left out
	other       INTEGER NOT NULL DEFAULT 0, -- records that are no votes of this run
	UNIQUE (stream, shard, epoch)
);
-- Each record that was applied. Nothing here is unique: a record that is applied twice is here twice.
CREATE TABLE records (
	seal     INTEGER NOT NULL,
	position TEXT NOT NULL,
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

var (
	// errFenced: somebody else counts the shard. Whoever gets this has lost its lease, and will be told.
	errFenced = errors.New("another worker counts this shard now")
	// errOutOfOrder: a record came behind a later one of its shard that this owner has applied. It would be lost if it were taken for a repeat.
	errOutOfOrder = errors.New("a record came behind a later one")
)

// tally counts votes, on behalf of one worker.
type tally struct {
	db    *sql.DB
	owner string
	now   func() time.Time

	mu    sync.Mutex
	doubt map[place]string // up to where a shard may be applied although the answer to the commit was lost
}

// place is a shard under one owner.
type place struct {
	stream, shard string
	epoch         uint64
}

func newTally(db *sql.DB, owner string) *tally {
	return &tally{db: db, owner: owner, now: time.Now, doubt: make(map[place]string)}
}

// counted is a record with what it says: nil for a record that is no vote of this run.
type counted struct {
	record consumer.Record
	vote   *vote
}

// apply counts the votes of a shard's records that were not counted yet.
func (t *tally) apply(ctx context.Context, batch []counted) error {
	first, last := batch[0].record, batch[len(batch)-1].record
	at := place{first.Stream, first.Shard, first.Epoch}
	tx, err := t.db.BeginTx(ctx, nil) // IMMEDIATE, see openDatabase: what is read below stays true until the commit
	if err != nil {
		return fmt.Errorf("shard %s: begin: %w", at.shard, err)
	}
	defer func() { _ = tx.Rollback() }() // after the commit it does nothing
	if err := t.write(ctx, tx, at, batch); err != nil {
		return fmt.Errorf("shard %s: %w", at.shard, err)
	}
	if err := tx.Commit(); err != nil {
		t.suspect(at, last.Position.Sort())
		return fmt.Errorf("shard %s: commit: %w", at.shard, err)
	}
	return nil
}

// suspect remembers that the records up to low may have been applied. They will be delivered again, and the next transaction sees
// which it was.
func (t *tally) suspect(at place, low string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.doubt[at] = max(t.doubt[at], low)
}

func (t *tally) suspected(at place) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.doubt[at]
}

func (t *tally) write(ctx context.Context, tx *sql.Tx, at place, batch []counted) error {
	s, err := t.seal(ctx, tx, at)
	if err != nil {
		return err
	}
	count, err := prepareCount(ctx, tx, s.id)
	if err != nil {
		return err
	}
	repeats := max(s.start, t.suspected(at))
	for _, c := range batch {
		position := c.record.Position.Sort()
		switch {
		case position > s.low:
			s.low = position
		case position <= repeats:
			s.redelivered++
			continue
		default:
			return fmt.Errorf("record %s, after %s: %w", c.record.Position, s.low, errOutOfOrder)
		}
		if c.vote == nil {
			s.other++
			continue
		}
		s.applied++
		if err := count.vote(ctx, *c.vote, position); err != nil {
			return fmt.Errorf("count record %s: %w", c.record.Position, err)
		}
	}
	_, err = tx.ExecContext(ctx, `UPDATE seals SET low = ?, applied = ?, redelivered = ?, other = ? WHERE id = ?`,
		s.low, s.applied, s.redelivered, s.other, s.id)
	return err
}

// seal is what the tally knows of a shard.
type seal struct {
	id                          int64
	epoch                       uint64
	owner                       string
	start, low                  string
	applied, redelivered, other int
}

// seal returns the seal under which this worker may write, breaking that of an earlier owner. What the tally holds at that moment is
// what may come again: the lease's position, from which the records are read, never goes beyond it, because it is written after the commit.
func (t *tally) seal(ctx context.Context, tx *sql.Tx, at place) (seal, error) {
	var s seal
	err := tx.QueryRowContext(ctx, `SELECT id, epoch, owner, start, low, applied, redelivered, other FROM seals
		WHERE stream = ? AND shard = ? ORDER BY epoch DESC LIMIT 1`, at.stream, at.shard).
		Scan(&s.id, &s.epoch, &s.owner, &s.start, &s.low, &s.applied, &s.redelivered, &s.other)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return s, fmt.Errorf("read the seal: %w", err)
	}
	switch {
	case s.epoch > at.epoch, s.epoch == at.epoch && s.owner != t.owner:
		return s, fmt.Errorf("%w: %s, with epoch %d", errFenced, s.owner, s.epoch)
	case s.epoch == at.epoch:
		return s, nil
	}
	held := cmp.Or(s.low, checkpoint.Position{}.Sort())
	s = seal{epoch: at.epoch, owner: t.owner, start: held, low: held}
	err = tx.QueryRowContext(ctx, `INSERT INTO seals (stream, shard, epoch, owner, at, start, low) VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id`,
		at.stream, at.shard, s.epoch, s.owner, t.now().UnixMilli(), s.start, s.low).Scan(&s.id)
	if err != nil {
		return s, fmt.Errorf("write the seal: %w", err)
	}
	return s, nil
}
