package main

import (
	"context"
	"database/sql"
	"errors"
)

// count is what a vote does to the tally: the statements of one transaction.
type count struct {
	tenure                      int64
	note, before, choose, shift *sql.Stmt // closed with their transaction
}

func prepareCount(ctx context.Context, tx *sql.Tx, tenure int64) (*count, error) {
	c := &count{tenure: tenure}
	for _, s := range []struct {
		stmt *(*sql.Stmt)
		text string
	}{
		{&c.note, `INSERT INTO records (tenure, position, voter, n) VALUES (?, ?, ?, ?)`},
		{&c.before, `SELECT ballot, candidate FROM voters WHERE voter = ?`},
		{&c.choose, `INSERT INTO voters (voter, ballot, candidate) VALUES (?, ?, ?)
			ON CONFLICT (voter) DO UPDATE SET ballot = excluded.ballot, candidate = excluded.candidate`},
		{&c.shift, `INSERT INTO tally (candidate, votes) VALUES (?1, ?2) ON CONFLICT (candidate) DO UPDATE SET votes = votes + ?2`},
	} {
		var err error
		if *s.stmt, err = tx.PrepareContext(ctx, s.text); err != nil { //nolint:sqlclosecheck // the end of the transaction closes it
			return nil, err
		}
	}
	return c, nil
}

// vote counts v. A ballot that the voter has cast before, or replaced since, is a record like any other and changes nothing.
func (c *count) vote(ctx context.Context, v vote, position string) error {
	if _, err := c.note.ExecContext(ctx, c.tenure, position, v.Voter, v.N); err != nil {
		return err
	}
	var ballot int
	var candidate string
	err := c.before.QueryRowContext(ctx, v.Voter).Scan(&ballot, &candidate)
	switch {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return err
	case v.Ballot <= ballot:
		return nil
	default:
		if _, err := c.shift.ExecContext(ctx, candidate, -1); err != nil {
			return err
		}
	}
	if _, err := c.choose.ExecContext(ctx, v.Voter, v.Ballot, v.Candidate); err != nil {
		return err
	}
	_, err = c.shift.ExecContext(ctx, v.Candidate, 1)
	return err
}
