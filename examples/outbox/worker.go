package main

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/filesource"
	"github.com/runnelhq/runnel/dedup/sqldedup"
	"github.com/runnelhq/runnel/lease/sqllease"
)

// work is a worker process: it stores the intents of the orders and does what they say, until ctx ends or its standard input, which the program that
// started it holds open.
func work(ctx context.Context, o options) (err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // the end of it is what counts
		stop()
	}()

	db, err := sql.Open("pgx", o.postgres)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	jobs, err := newJobs(db, o.schema, &charger{provider: o.api, client: &http.Client{}})
	if err != nil {
		return err
	}
	if err := jobs.Start(ctx); err != nil {
		return err
	}
	defer func() {
		stop() // if the consumer has ended by itself
		<-jobs.Stopped()
	}()
	marks := sqldedup.New(db, &sqldedup.Config{Dialect: sqldedup.PostgreSQL, Table: o.schema + ".runnel_marks"})
	return consumer.Run(ctx, consumer.Config{
		Name:     "payments",
		Source:   filesource.New(o.dir, &filesource.Config{TimeField: "placed"}),
		Leases:   sqllease.New(db, &sqllease.Config{Dialect: sqllease.PostgreSQL, Table: o.schema + ".runnel_leases"}),
		Delivery: consumer.ExactlyOnce,
		Handler:  intents(marks, jobs),
		Logger:   slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
}
