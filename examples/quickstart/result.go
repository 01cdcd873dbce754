package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// result is what came of a run. It is read from the database when all is done, and held against what was cast.
type result struct {
	records     int // that were cast
	applied     int // of them, at least once
	twice       int // applications of a record beyond its first; in files, where each vote is put once, of a vote
	late        int // records that were applied behind a later one of their voter
	redelivered int // deliveries that were left out, since the record was applied
	again       int // records with the vote of another record: a producer that is interrupted may put some votes into a stream or a table once more
	other       int // records on the streams that are not of this run

	votes, truth map[string]int // by candidate
	deaths       int
	took         time.Duration // until the last shard of a dead worker was handled again; 0: none was taken over
}

func (r *run) result(ctx context.Context) (result, error) {
	res := result{records: r.Records, votes: make(map[string]int), truth: truth(r.votes())}
	var streams string
	if err := r.db.QueryRowContext(ctx, `SELECT boxes FROM run`).Scan(&streams); err != nil {
		return res, fmt.Errorf("read the run: %w", err)
	}
	var rows, places int
	err := r.db.QueryRowContext(ctx, `SELECT count(*), count(DISTINCT n) FROM records`).Scan(&rows, &res.applied)
	if err != nil {
		return res, fmt.Errorf("count the records: %w", err)
	}
	err = r.db.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT DISTINCT stream, shard, position FROM records JOIN tenures ON tenures.id = tenure)`).Scan(&places)
	if err != nil {
		return res, fmt.Errorf("count the records: %w", err)
	}
	res.twice, res.again = rows-places, places-res.applied
	if streams == (options{}).streams() {
		res.twice, res.again = rows-res.applied, 0 // a vote at two positions is one that the source gave twice
	}
	err = r.db.QueryRowContext(ctx, `SELECT count(*) FROM (
		SELECT position < max(position) OVER (PARTITION BY stream, shard, voter ORDER BY records.id ROWS UNBOUNDED PRECEDING) AS late
		FROM records JOIN tenures ON tenures.id = tenure) WHERE late`).Scan(&res.late)
	if err != nil {
		return res, fmt.Errorf("look at the order of the records: %w", err)
	}
	err = r.each(ctx, func(rows *sql.Rows) error {
		var candidate string
		var votes int
		err := rows.Scan(&candidate, &votes)
		res.votes[candidate] = votes
		return err
	}, `SELECT candidate, votes FROM tally`)
	if err != nil {
		return res, fmt.Errorf("read the tally: %w", err)
	}
	p, err := r.progress(ctx)
	if err != nil {
		return res, err
	}
	_, res.redelivered, res.other = p.totals()
	res.deaths = len(p.deaths)
	for _, t := range p.takeovers() {
		res.took = max(res.took, t.took)
	}
	return res, nil
}

// distinct is how many of the votes were applied at least once.
func (r *run) distinct(ctx context.Context) (n int, err error) {
	err = r.db.QueryRowContext(ctx, `SELECT count(DISTINCT n) FROM records`).Scan(&n)
	return n, err
}

func (r result) lost() int { return r.records - r.applied }

var errUntrue = errors.New("the result is not what was promised")

// verdict is an error if a record was lost, applied twice or out of order, or a candidate has other votes than were cast.
func (r result) verdict() error {
	for _, c := range candidates {
		if r.votes[c] != r.truth[c] {
			return fmt.Errorf("%w: %s has %d votes instead of %d", errUntrue, c, r.votes[c], r.truth[c])
		}
	}
	if r.lost() != 0 || r.twice != 0 {
		return errUntrue
	}
	if r.late != 0 {
		return fmt.Errorf("%w: %d records were applied behind a later one of their voter", errUntrue, r.late)
	}
	return nil
}

// print writes the table of the candidates and the line that sums all up.
func (r result) print(w io.Writer) {
	fmt.Fprintf(w, "\n%-12s %8s %8s\n", "candidate", "votes", "truth")
	best := slices.SortedFunc(slices.Values(candidates), func(a, b string) int { return r.truth[b] - r.truth[a] })
	for _, c := range best {
		wrong := ""
		if r.votes[c] != r.truth[c] {
			wrong = "  wrong"
		}
		fmt.Fprintf(w, "%-12s %8d %8d%s\n", c, r.votes[c], r.truth[c], wrong)
	}
	fmt.Fprintln(w)
	if r.other > 0 {
		fmt.Fprintf(w, "%d records on the streams are not of this run, and were left alone\n", r.other)
	}
	if r.again > 0 {
		fmt.Fprintf(w, "%d records hold votes of other records once more, and changed nothing\n", r.again)
	}
	fmt.Fprintln(w, r.line())
}

func (r result) line() string {
	return fmt.Sprintf("applied %d of %d records, %d lost, %d applied twice, %d redelivered, %s",
		r.applied, r.records, r.lost(), r.twice, r.redelivered, r.takeover())
}

func (r result) takeover() string {
	switch {
	case r.took > 0:
		return fmt.Sprintf("takeover in %.1f s", r.took.Seconds())
	case r.deaths > 0:
		return "nothing to take over"
	}
	return "no worker killed"
}
