package main

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"log/slog"
	"os"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"golang.org/x/sync/errgroup"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/dedup/sqldedup"
	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/ddblease"
	"github.com/runnelhq/runnel/lease/sqllease"
)

// work is a worker process: it shares the boxes with the other workers. It stops when its standard input ends, which the program that started it
// holds open: also when that one is killed.
func work(ctx context.Context, o options) (err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // the end of it is what counts
		stop()
	}()

	r, err := openRun(ctx, o.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.db.Close()) }()
	boxes, err := o.open(ctx, r.db)
	if err != nil {
		return err
	}
	leases, err := o.leaseStore(ctx, r.db)
	if err != nil {
		return err
	}
	marks := sqldedup.New(r.db, nil)
	var all errgroup.Group
	for _, b := range boxes {
		all.Go(func() error {
			return consumer.Run(ctx, consumer.Config{
				Name:     r.application(b),
				Source:   b.source(),
				Leases:   leases,
				Delivery: consumer.ExactlyOnce,
				Sink:     marks,
				Handler:  &tally{db: r.db, marks: marks, owner: o.worker, run: r.Run, decode: b.decode, now: time.Now},
				Worker:   o.worker,
				// The votes of a voter are counted in order. A key has a mark of its own, and a few of them cost less than one for each voter. SQLite has one writer: calls side by
				// side would only wait for each other.
				Order: consumer.Order{By: consumer.PerKey, Key: group, Workers: 1},
				// A batch is one transaction, of all that was read: so a clean stop leaves nothing done behind a record that is not. Positions are stored far less often, so that
				// a crash leaves something to deliver again.
				Batch:      consumer.Batch{Size: 500},
				Flow:       consumer.Flow{Records: 500},
				Checkpoint: checkpoint.EveryN(2_000),
				Logger:     slog.New(slog.NewTextHandler(os.Stderr, nil)),
			})
		})
	}
	return all.Wait()
}

// leaseStore is where the workers agree on who reads which shard.
func (o options) leaseStore(ctx context.Context, db *sql.DB) (lease.Store, error) {
	if o.leases == "" {
		return sqllease.New(db, nil), nil
	}
	cfg, err := o.aws(ctx)
	if err != nil {
		return nil, err
	}
	return ddblease.New(dynamodb.NewFromConfig(cfg), o.leases, nil), nil
}

// group is which voters a record's is ordered with.
func group(r consumer.Record) (string, error) { return strconv.Itoa(share(r.Key, 16)), nil }
