package sqldedup_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx" for PostgreSQL; any other will do
	_ "modernc.org/sqlite"             // the driver "sqlite" for SQLite; any other will do

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/sqldedup"
)

// A consumer whose effects and marks are one transaction: each order is booked once.
func Example() {
	db, err := sql.Open("sqlite", "file:/var/lib/billing/billing.db")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	marks := sqldedup.New(db, nil)
	cfg := consumer.Config{
		Handler: consumer.Once(marks, func(ctx context.Context, tx *sql.Tx, fresh []consumer.Record) error {
			for _, r := range fresh {
				if _, err := tx.ExecContext(ctx, `INSERT INTO orders (customer, body) VALUES ($1, $2)`, r.Key, r.Data); err != nil {
					return err
				}
			}
			return nil
		}),
	}
	_ = cfg // and the rest of it, as of every consumer
}

// The same by hand: a record that comes again is not handed to the function.
func ExampleSink_Apply() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "billing")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "billing.db"))
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = db.Close() }()

	marks := sqldedup.New(db, nil)
	if err := marks.Setup(ctx); errors.Is(err, sqldedup.ErrTable) || errors.Is(err, sqldedup.ErrDenied) {
		log.Fatalf("not a database for marks: %v", err)
	} else if err != nil {
		log.Fatal(err)
	}
	if _, err := db.ExecContext(ctx, `CREATE TABLE balance (cents INTEGER); INSERT INTO balance VALUES (0)`); err != nil {
		log.Fatal(err)
	}

	owner := dedup.Mark{App: "billing", Stream: "orders", Shard: "shard-0", Epoch: 1, Session: "a fresh one", Generation: 1}
	if _, err := marks.Seal(ctx, owner); err != nil {
		log.Fatal(err)
	}
	record := owner
	record.Position = checkpoint.Offset(7)
	for range 2 {
		err := marks.Apply(ctx, []dedup.Mark{record}, func(tx *sql.Tx, _ []int) error {
			_, err := tx.ExecContext(ctx, `UPDATE balance SET cents = cents + 100`)
			return err
		})
		fmt.Println("apply:", err)
	}
	var cents int
	if err := db.QueryRowContext(ctx, `SELECT cents FROM balance`).Scan(&cents); err != nil {
		log.Fatal(err)
	}
	fmt.Println("cents:", cents)
	// Output:
	// apply: <nil>
	// apply: <nil>
	// cents: 100
}

// Workers on several hosts share a PostgreSQL. The tables are made by a migration, in a schema of their own, and marks of records in no order go after two weeks.
func Example_postgreSQL() {
	db, err := sql.Open("pgx", "postgres://billing@db-1.example.com,db-2.example.com/billing?target_session_attrs=read-write&connect_timeout=1")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	marks := sqldedup.New(db, &sqldedup.Config{Dialect: sqldedup.PostgreSQL, Table: "marks.billing", MustExist: true, TTL: 14 * 24 * time.Hour})
	if err := marks.Setup(context.Background()); err != nil {
		log.Print(err)
	}
}

// The tables for a migration that is done elsewhere. No database is needed to print it.
func ExampleSink_Schema() {
	fmt.Print(sqldedup.New(nil, &sqldedup.Config{Dialect: sqldedup.PostgreSQL, Table: "marks.billing"}).Schema())
	// Output:
	// CREATE TABLE IF NOT EXISTS "marks"."billing_seals" (
	//   scope      bytea NOT NULL,
	//   shard      bytea NOT NULL,
	//   epoch      bigint NOT NULL,
	//   generation bigint NOT NULL,
	//   session    text NOT NULL,
	//   PRIMARY KEY (scope, shard)
	// );
	// CREATE TABLE IF NOT EXISTS "marks"."billing_done" (
	//   scope    bytea NOT NULL,
	//   shard    bytea NOT NULL,
	//   lane     bytea NOT NULL,
	//   sort     text COLLATE "C" NOT NULL,
	//   position text NOT NULL,
	//   epoch    bigint NOT NULL,
	//   PRIMARY KEY (scope, shard, lane)
	// );
	// CREATE TABLE IF NOT EXISTS "marks"."billing_dead" (
	//   scope      bytea NOT NULL,
	//   shard      bytea NOT NULL,
	//   sort       text COLLATE "C" NOT NULL,
	//   generation bigint NOT NULL,
	//   position   text NOT NULL,
	//   PRIMARY KEY (scope, shard, sort, generation)
	// );
	// CREATE TABLE IF NOT EXISTS "marks"."billing_ids" (
	//   id         bytea NOT NULL,
	//   generation bigint NOT NULL,
	//   dead       bigint NOT NULL,
	//   at         bigint NOT NULL,
	//   PRIMARY KEY (id)
	// );
	// CREATE INDEX IF NOT EXISTS "billing_ids_at" ON "marks"."billing_ids" (at);
}
