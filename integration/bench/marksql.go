package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/sqldedup"
	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/localstack"
)

// sqlOrders are orders in a table, one row each.
type sqlOrders struct {
	*sqldedup.Sink

	db      *sql.DB
	name    string // what those of tables begin with
	dialect sqldedup.Dialect
	wait    time.Duration
}

func openOrders(ctx context.Context, db *sql.DB, name string, dialect sqldedup.Dialect) (*sqlOrders, error) {
	s := &sqlOrders{sqldedup.New(db, &sqldedup.Config{Dialect: dialect, Table: name + "_marks"}), db, name, dialect, 0}
	for _, query := range []string{
		`CREATE TABLE ` + name + `_orders (id bigint PRIMARY KEY, customer text NOT NULL, item text NOT NULL, quantity integer NOT NULL, price bigint NOT NULL)`,
		`CREATE TABLE ` + name + `_markers (shard text NOT NULL, sequence text NOT NULL, PRIMARY KEY (shard, sequence))`,
	} {
		if _, err := db.ExecContext(ctx, query); err != nil {
			return nil, err
		}
	}
	return s, s.Setup(ctx)
}

func (s *sqlOrders) slow(wait time.Duration) ordersDB {
	slow := *s
	slow.wait = wait
	return &slow
}

// insert makes the effect of a record.
func (s *sqlOrders) insert(ctx context.Context, tx *sql.Tx, r order) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO `+s.name+`_orders (id, customer, item, quantity, price) VALUES ($1, $2, $3, $4, $5)`, r.n, r.key, "a book of some pages", 3, 1999)
	return err
}

// transact calls f in a transaction.
func (s *sqlOrders) transact(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

func (s *sqlOrders) alone(ctx context.Context, rs []order) error {
	return s.transact(ctx, func(tx *sql.Tx) error {
		for _, r := range rs {
			if err := s.insert(ctx, tx, r); err != nil {
				return err
			}
		}
		return backoff.Wait(ctx, s.wait)
	})
}

func (s *sqlOrders) naive(ctx context.Context, shard string, rs []order) error {
	return s.transact(ctx, func(tx *sql.Tx) error {
		for _, r := range rs {
			result, err := tx.ExecContext(ctx, `INSERT INTO `+s.name+`_markers (shard, sequence) VALUES ($1, $2) ON CONFLICT DO NOTHING`, shard, r.position.String())
			if err != nil {
				return err
			}
			if n, err := result.RowsAffected(); err != nil || n == 0 {
				return err
			}
			if err := s.insert(ctx, tx, r); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *sqlOrders) once(ctx context.Context, ms []dedup.Mark, rs []order) error {
	return s.Apply(ctx, ms, func(tx *sql.Tx, fresh []int) error {
		if rs == nil {
			return nil
		}
		for _, i := range fresh {
			if err := s.insert(ctx, tx, rs[i]); err != nil {
				return err
			}
		}
		return backoff.Wait(ctx, s.wait)
	})
}

func (s *sqlOrders) noted(ctx context.Context, shard string, rs []order) error {
	sequences := make([]string, len(rs))
	for i, r := range rs {
		sequences[i] = r.position.String()
	}
	text, err := json.Marshal(sequences)
	if err != nil {
		return err
	}
	rows := `json_each($2)`
	if s.dialect == sqldedup.PostgreSQL {
		rows = `json_array_elements_text($2::text::json)`
	}
	_, err = s.db.ExecContext(ctx, `INSERT INTO `+s.name+`_markers (shard, sequence) SELECT $1, value FROM `+rows+` WHERE true ON CONFLICT DO NOTHING`, shard, string(text))
	return err
}

func (s *sqlOrders) made(ctx context.Context) (n int64, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT count(*) FROM `+s.name+`_orders`).Scan(&n)
	return n, err
}

func (s *sqlOrders) marks(ctx context.Context) (extent, error) {
	return s.extent(ctx, "marks_seals", "marks_done", "marks_dead", "marks_ids")
}

func (s *sqlOrders) markers(ctx context.Context) (extent, error) { return s.extent(ctx, "markers") }

// extent is that of tables with their indexes, with the room in them that is free.
func (s *sqlOrders) extent(ctx context.Context, tables ...string) (all extent, err error) {
	size := `SELECT (SELECT count(*) FROM %[1]s), coalesce((SELECT sum(pgsize) FROM dbstat WHERE name IN (SELECT name FROM sqlite_schema WHERE tbl_name = '%[1]s')), 0)`
	if s.dialect == sqldedup.PostgreSQL {
		size = `SELECT (SELECT count(*) FROM %[1]s), pg_total_relation_size('%[1]s')`
	}
	for _, table := range tables {
		var e extent
		if err := s.db.QueryRowContext(ctx, fmt.Sprintf(size, s.name+"_"+table)).Scan(&e.rows, &e.bytes); err != nil {
			return all, err
		}
		all.rows += e.rows
		all.bytes += e.bytes
	}
	return all, nil
}

// servePostgres has databases in one of a server.
func servePostgres(ctx context.Context, f func(opener) error) (err error) {
	server, err := localstack.StartPostgres(ctx, localstack.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	db, err := sql.Open("pgx", server.URL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(50)
	db.SetMaxIdleConns(50)
	return f(func(ctx context.Context, name string) (ordersDB, error) {
		return openOrders(ctx, db, name, sqldedup.PostgreSQL)
	})
}

// serveSQLite has databases in one file, with the settings that the sink asks for.
func serveSQLite(ctx context.Context, f func(opener) error) (err error) {
	dir, err := os.MkdirTemp("", "runnel-bench-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "orders.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(5000)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return f(func(ctx context.Context, name string) (ordersDB, error) {
		return openOrders(ctx, db, name, sqldedup.SQLite)
	})
}
