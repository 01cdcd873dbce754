package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"hash/fnv"

	"github.com/runnelhq/runnel/consumer"
)

// box is a stream that votes are put into and read from.
type box interface {
	name() string
	// prepare makes the stream if it is missing, or says who has to.
	prepare(ctx context.Context) error
	source() consumer.Source
	decode(r consumer.Record) (vote, error)
	// resume returns a func that tells whether a vote is in the stream already. It is called once with each vote of the box, in their
	// order.
	resume(ctx context.Context) (func(v vote) (bool, error), error)
	put(ctx context.Context, votes []vote) error
}

// open opens the boxes that the flags name. All votes of one voter go into one of them.
func (o options) open(ctx context.Context, db *sql.DB) ([]box, error) {
	if o.kinesis == "" && o.dynamodb == "" {
		return []box{newFileBox(o.dir)}, nil
	}
	cfg, err := o.aws(ctx)
	if err != nil {
		return nil, err
	}
	var boxes []box
	if o.kinesis != "" {
		boxes = append(boxes, newKinesisBox(cfg, o, db))
	}
	if o.dynamodb != "" {
		boxes = append(boxes, newTableBox(cfg, o, db))
	}
	return boxes, nil
}

// share is in which of n parts a voter is.
func share(voter string, n int) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(voter)) // a hash takes everything
	return int(h.Sum32() % uint32(n))
}

func decodeJSON(r consumer.Record) (vote, error) {
	var v vote
	err := json.Unmarshal(r.Data, &v)
	return v, err
}

// ledger remembers how many of a run's votes were put into a stream that cannot be asked. A producer that is killed between the put and the note puts
// some votes twice.
type ledger struct {
	db  *sql.DB
	box string
}

func (l ledger) resume(ctx context.Context) (func(v vote) (bool, error), error) {
	var put int
	err := l.db.QueryRowContext(ctx, `SELECT put FROM boxes WHERE name = ?`, l.box).Scan(&put)
	return func(v vote) (bool, error) { return v.N < put, nil }, err
}

// note says that all votes of the box up to the n-th are in it.
func (l ledger) note(ctx context.Context, n int) error {
	_, err := l.db.ExecContext(ctx, `UPDATE boxes SET put = ? WHERE name = ?`, n+1, l.box)
	return err
}
