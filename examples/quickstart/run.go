package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver is the program's choice: runnel imports none
)

const runSchema = `
-- What this directory is about: one row.
CREATE TABLE run (
	id      TEXT NOT NULL,
	seed    INTEGER NOT NULL,
	records INTEGER NOT NULL,
	boxes   TEXT NOT NULL,
	leases  TEXT NOT NULL
);
-- The streams, and how many of the run's records were looked at for each: those that are its are in it.
CREATE TABLE boxes (
	name        TEXT PRIMARY KEY,
	incarnation TEXT NOT NULL,
	put         INTEGER NOT NULL DEFAULT 0
);
-- The worker processes of all starts. died is when one ended that should not, in milliseconds since 1970.
CREATE TABLE workers (
	n    INTEGER PRIMARY KEY,
	died INTEGER
);
`

// run is what a directory holds: an election, and how far its votes were cast and counted.
type run struct {
	election
	dir string
	db  *sql.DB
}

// openDatabase opens the one file that all processes share. Transactions are IMMEDIATE: two that first read and then write would otherwise both begin, and
// one of them would fail. A process waits up to 10 s for the others' transactions; one that is stopped (SIGSTOP) inside its own holds up all.
// What was committed survives a power failure, which is SQLite's default and costs a sync a transaction.
func openDatabase(dir string) *sql.DB {
	return openFile(filepath.Join(dir, "quickstart.db"), "_txlock=immediate&_busy_timeout=10000&_journal_mode=WAL")
}

func openFile(path, parameters string) *sql.DB {
	slashed := "/" + strings.TrimPrefix(filepath.ToSlash(path), "/")
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: slashed, RawQuery: parameters}).String())
	if err != nil { // only for a driver that is not there
		panic(err)
	}
	return db
}

// openRun opens the run in a directory, for a worker.
func openRun(ctx context.Context, dir string) (*run, error) {
	r := &run{dir: dir, db: openDatabase(dir)}
	err := r.db.QueryRowContext(ctx, `SELECT id, seed, records FROM run`).Scan(&r.Run, &r.Seed, &r.Records)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read the run in %s: %w", dir, err), r.db.Close())
	}
	return r, nil
}

// resumeRun begins a run in a directory, or goes on with the one that is there.
func resumeRun(ctx context.Context, o options) (_ *run, err error) {
	r := &run{dir: o.dir, db: openDatabase(o.dir), election: election{Run: rand.Text()[:8], Seed: o.seed, Records: o.records}}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.db.Close())
		}
	}()
	tx, err := r.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", o.dir, err)
	}
	defer func() { _ = tx.Rollback() }() // after the commit it does nothing
	if err := r.read(ctx, tx, o); err != nil {
		return nil, err
	}
	return r, tx.Commit()
}

// read makes r the run that is in the directory, or puts r into it.
func (r *run) read(ctx context.Context, tx *sql.Tx, o options) error {
	var exists, enrolled bool
	if err := tx.QueryRowContext(ctx, `SELECT count(*) > 0 FROM sqlite_schema WHERE name = 'run'`).Scan(&exists); err != nil {
		return fmt.Errorf("read %s: %w", o.dir, err)
	}
	if !exists {
		if _, err := tx.ExecContext(ctx, runSchema+tallySchema); err != nil {
			return fmt.Errorf("make the tables in %s: %w", o.dir, err)
		}
	}
	if err := tx.QueryRowContext(ctx, `SELECT count(*) > 0 FROM boxes`).Scan(&enrolled); err != nil {
		return err
	}
	if enrolled {
		return r.match(ctx, tx, o)
	}
	// Nothing was cast: an earlier start failed, on a stream that is not there for example.
	_, err := tx.ExecContext(ctx, `DELETE FROM run; INSERT INTO run (id, seed, records, boxes, leases) VALUES (?, ?, ?, ?, ?)`,
		r.Run, r.Seed, r.Records, o.streams(), o.leases)
	return err
}

// match refuses flags that contradict the run in the directory. What was not given is taken from there.
func (r *run) match(ctx context.Context, tx *sql.Tx, o options) error {
	var streams, leases string
	if err := tx.QueryRowContext(ctx, `SELECT id, seed, records, boxes, leases FROM run`).Scan(&r.Run, &r.Seed, &r.Records, &streams, &leases); err != nil {
		return err
	}
	var faults []error
	compare := func(what string, here, given any) {
		if here != given {
			faults = append(faults, fmt.Errorf("%s holds a run with %s %v, and not %v", o.dir, what, here, given))
		}
	}
	if o.given["seed"] {
		compare("-seed", r.Seed, o.seed)
	}
	if o.given["records"] {
		compare("-records", r.Records, o.records)
	}
	compare("its votes in", streams, o.streams())
	compare("-leases", strconv.Quote(leases), strconv.Quote(o.leases)) // in another store all shards are free, also those that workers of an earlier start still have
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("%w\ngive the same flags to go on with it, or another -dir to begin a new run", err)
	}
	return nil
}

// enrol notes which stream a box is when the run begins, and refuses another one later: the votes would not be in it.
func (r *run) enrol(ctx context.Context, b box) error {
	stream, err := b.source().Stream(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", b.name(), err)
	}
	var was string
	err = r.db.QueryRowContext(ctx, `INSERT INTO boxes (name, incarnation) VALUES (?, ?)
		ON CONFLICT (name) DO UPDATE SET name = name RETURNING incarnation`, b.name(), stream.Incarnation).Scan(&was)
	if err != nil {
		return err
	}
	if stream.Incarnation != was {
		return fmt.Errorf("%s was made anew since this run began – it was %s and is %s – and its votes are gone: give another -dir", b.name(), was, stream.Incarnation)
	}
	return nil
}

// application is the name under which the workers share a box. A new run is a new application: its leases know nothing of the one before.
func (r *run) application(b box) string { return "quickstart-" + r.Run + "-" + b.name() }

// hold makes sure that no other process casts this run's votes: until the answer is called or the process ends.
func hold(ctx context.Context, dir string) (release func() error, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	db := openFile(filepath.Join(dir, "lock.db"), "_txlock=exclusive")
	tx, err := db.BeginTx(context.WithoutCancel(ctx), nil) // held until the workers have stopped
	if err != nil {
		return nil, errors.Join(fmt.Errorf("another quickstart works in %s: wait for it, or give another -dir: %w", dir, err), db.Close())
	}
	return func() error { return errors.Join(tx.Rollback(), db.Close()) }, nil
}

// hire notes a worker and returns its number.
func (r *run) hire(ctx context.Context) (worker int, err error) {
	err = r.db.QueryRowContext(ctx, `INSERT INTO workers DEFAULT VALUES RETURNING n`).Scan(&worker)
	return worker, err
}

func workerName(n int) string { return fmt.Sprintf("worker-%d", n) }

func (r *run) died(ctx context.Context, worker int, at time.Time) error {
	_, err := r.db.ExecContext(ctx, `UPDATE workers SET died = ? WHERE n = ?`, at.UnixMilli(), worker)
	return err
}

// forget drops the deaths of an earlier start whose shards nobody took over in it: the time until somebody does would be that of the pause.
func (r *run) forget(ctx context.Context) error {
	p, err := r.progress(ctx)
	if err != nil {
		return err
	}
	for _, t := range p.takeovers() {
		if t.to != "" {
			continue
		}
		if _, err := r.db.ExecContext(ctx, `UPDATE workers SET died = NULL WHERE 'worker-' || n = ?`, t.from); err != nil {
			return err
		}
	}
	return nil
}
