package sqlletters_test

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
	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/deadletter/sqlletters"
)

// A store in a file that is made if it is missing: a key is parked, and free when its last letter is settled.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "letters")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()

	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "letters.db"))
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	store := sqlletters.New(db, nil)
	if err := store.Setup(ctx); errors.Is(err, sqlletters.ErrTable) || errors.Is(err, sqlletters.ErrDenied) {
		log.Fatalf("not a database for letters: %v", err)
	} else if err != nil {
		log.Fatal(err)
	}

	scope := deadletter.Scope{App: "billing", Stream: "orders"}
	letter := deadletter.Letter{Scope: scope, Shard: "shard-0", Position: checkpoint.Offset(7), Key: "customer-1", Payload: []byte("poison"), Reason: deadletter.Attempts}
	fmt.Println("park:", store.Park(ctx, []deadletter.Letter{letter}, true))
	claim := deadletter.Claim{Scope: scope, Key: letter.Key, Token: "a fresh one"}
	fmt.Println("claim:", store.Claim(ctx, claim, time.Minute))
	for l, err := range store.Read(ctx, deadletter.Query{Scope: scope, Key: letter.Key, Keyed: true}) {
		fmt.Printf("%s, %v\n", l.Payload, err)
		fmt.Println("settle:", store.Settle(ctx, claim, l.ID(), nil))
	}
	err = store.Park(ctx, []deadletter.Letter{letter}, false)
	fmt.Println("parked no longer:", errors.Is(err, deadletter.ErrNotParked))
	// Output:
	// park: <nil>
	// claim: <nil>
	// poison, <nil>
	// settle: <nil>
	// parked no longer: true
}

// Workers on several hosts share a PostgreSQL. The tables are made by a migration, in a schema of their own.
func Example_postgreSQL() {
	ctx := context.Background()
	db, err := sql.Open("pgx", "postgres://billing@db-1.example.com,db-2.example.com/billing?target_session_attrs=read-write&connect_timeout=1")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	store := sqlletters.New(db, &sqlletters.Config{Dialect: sqlletters.PostgreSQL, Table: "letters.billing", MustExist: true})
	if err := store.Setup(ctx); err != nil {
		log.Print(err)
	}
}

// The tables for a migration that is done elsewhere. No database is needed to print it.
func ExampleStore_Schema() {
	fmt.Print(sqlletters.New(nil, &sqlletters.Config{Table: "letters"}).Schema())
	// Output:
	// CREATE TABLE IF NOT EXISTS main."letters" (
	//   seq     INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	//   scope   BLOB    NOT NULL,
	//   place   BLOB    NOT NULL,
	//   id      BLOB    NOT NULL,
	//   letter  TEXT    NOT NULL,
	//   history TEXT    NOT NULL,
	//   payload BLOB    NOT NULL
	// ) STRICT;
	// CREATE UNIQUE INDEX IF NOT EXISTS main."letters_id" ON "letters" (id);
	// CREATE INDEX IF NOT EXISTS main."letters_order" ON "letters" (scope, place, seq);
	// CREATE TABLE IF NOT EXISTS main."letters_keys" (
	//   scope  BLOB    NOT NULL,
	//   place  BLOB    NOT NULL,
	//   key    TEXT    NOT NULL,
	//   parked INTEGER NOT NULL,
	//   token  TEXT    NOT NULL,
	//   until  INTEGER NOT NULL,
	//   PRIMARY KEY (scope, place)
	// ) STRICT;
}

// The tables of PostgreSQL.
func ExampleStore_Schema_postgreSQL() {
	fmt.Print(sqlletters.New(nil, &sqlletters.Config{Dialect: sqlletters.PostgreSQL, Table: "letters.billing"}).Schema())
	// Output:
	// CREATE TABLE IF NOT EXISTS "letters"."billing" (
	//   seq     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	//   scope   bytea NOT NULL,
	//   place   bytea NOT NULL,
	//   id      bytea NOT NULL,
	//   letter  text NOT NULL,
	//   history text NOT NULL,
	//   payload bytea NOT NULL
	// );
	// CREATE UNIQUE INDEX IF NOT EXISTS "billing_id" ON "letters"."billing" (id);
	// CREATE INDEX IF NOT EXISTS "billing_order" ON "letters"."billing" (scope, place, seq);
	// CREATE TABLE IF NOT EXISTS "letters"."billing_keys" (
	//   scope  bytea NOT NULL,
	//   place  bytea NOT NULL,
	//   key    text NOT NULL,
	//   parked bigint NOT NULL,
	//   token  text NOT NULL,
	//   until  bigint NOT NULL,
	//   PRIMARY KEY (scope, place)
	// );
}
