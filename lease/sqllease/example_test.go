package sqllease_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx" for PostgreSQL; any other will do
	_ "modernc.org/sqlite"             // the driver "sqlite" for SQLite; any other will do

	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/sqllease"
)

// A store in a file that is made if it is missing.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "leases")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()

	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "leases.db"))
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	store := sqllease.New(db, nil)

	// A consumer calls Setup itself. To see at deployment whether the file can be used, call it there.
	if err := store.Setup(ctx); errors.Is(err, lease.ErrTable) || errors.Is(err, lease.ErrDenied) {
		log.Fatalf("not a database for leases: %v", err)
	} else if err != nil {
		log.Fatal(err)
	}

	row := lease.Row{Key: "orders/S/stream/shard-0", Value: []byte(`{"owner":"a"}`)}
	fmt.Println(store.Put(ctx, []lease.Row{row}))
	errs := store.Put(ctx, []lease.Row{row})
	fmt.Println(errors.Is(errs[0], lease.ErrConflict))
	// Output:
	// []
	// true
}

// The tables for a migration that is done elsewhere. No database is needed to print it.
func ExampleStore_Schema() {
	fmt.Print(sqllease.New(nil, &sqllease.Config{Table: "leases", MustExist: true}).Schema())
	// Output:
	// CREATE TABLE IF NOT EXISTS main."leases" (
	//   grp     TEXT    NOT NULL,
	//   name    TEXT    NOT NULL,
	//   version INTEGER NOT NULL,
	//   cursor  INTEGER NOT NULL,
	//   value   TEXT    NOT NULL,
	//   PRIMARY KEY (grp, name)
	// ) STRICT;
	// CREATE INDEX IF NOT EXISTS main."leases_changes" ON "leases" (grp, cursor);
	// CREATE TABLE IF NOT EXISTS main."leases_cursor" (
	//   id   INTEGER NOT NULL PRIMARY KEY,
	//   last INTEGER NOT NULL
	// ) STRICT;
	// INSERT INTO main."leases_cursor" (id, last)
	//   SELECT 1, coalesce(max(cursor), 0) FROM main."leases" WHERE true ON CONFLICT (id) DO NOTHING;
}

// Workers on several hosts share a PostgreSQL. The table is made by a migration, and in a schema of its own.
func Example_postgreSQL() {
	ctx := context.Background()
	db, err := sql.Open("pgx", "postgres://orders@db-1.example.com,db-2.example.com/orders?target_session_attrs=read-write&connect_timeout=1")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	store := sqllease.New(db, &sqllease.Config{Dialect: sqllease.PostgreSQL, Table: "leases.orders", MustExist: true})
	if err := store.Setup(ctx); err != nil {
		log.Print(err)
	}
}

// The tables of PostgreSQL.
func ExampleStore_Schema_postgreSQL() {
	fmt.Print(sqllease.New(nil, &sqllease.Config{Dialect: sqllease.PostgreSQL, Table: "leases.orders"}).Schema())
	// Output:
	// CREATE TABLE IF NOT EXISTS "leases"."orders" (
	//   grp     text COLLATE "C" NOT NULL,
	//   name    text COLLATE "C" NOT NULL,
	//   version bigint NOT NULL,
	//   cursor  bigint NOT NULL,
	//   value   text NOT NULL,
	//   PRIMARY KEY (grp, name)
	// );
	// CREATE INDEX IF NOT EXISTS "orders_changes" ON "leases"."orders" (grp, cursor);
	// CREATE TABLE IF NOT EXISTS "leases"."orders_cursor" (
	//   id   integer NOT NULL PRIMARY KEY,
	//   last bigint NOT NULL
	// );
	// INSERT INTO "leases"."orders_cursor" (id, last)
	//   SELECT 1, coalesce(max(cursor), 0) FROM "leases"."orders" ON CONFLICT (id) DO NOTHING;
}

// Operators look at rows by their group.
func ExampleStore_List() {
	ctx := context.Background()
	db, err := sql.Open("sqlite", "file:/var/lib/orders/leases.db")
	if err != nil {
		log.Fatal(err)
	}
	store := sqllease.New(db, &sqllease.Config{MustExist: true})
	for row, err := range store.List(ctx, "orders-index/M/", "") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s, written %d times: %s\n", row.Key, row.Version, row.Value)
	}
}
