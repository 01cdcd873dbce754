package sqllease_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver "sqlite"; any other will do

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
