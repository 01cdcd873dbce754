//go:build engines

package sqlletters_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/deadletter/sqlletters"
)

// within is a context for what must not take long.
func within(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// until polls for what a query is to say.
func until(t *testing.T, db *sql.DB, query string, args ...any) {
	t.Helper()
	ctx := within(t, 20*time.Second)
	for is := false; !is; {
		if err := db.QueryRowContext(ctx, query, args...).Scan(&is); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
}

// hold locks the row of a key until the test lets it go, and then one caller more waits for it.
func hold(t *testing.T, db *sql.DB, table, key string) (letGo func()) {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil)
	must(t, err)
	_, err = tx.ExecContext(t.Context(), `SELECT 1 FROM `+table+`_keys WHERE key = $1 FOR UPDATE`, key)
	must(t, err)
	return func() { must(t, tx.Rollback()) }
}

// waits has the number of statements on a table that wait for a lock.
const waits = `SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%' || $1 || '%'`

// A claim that ran out while its caller waited for the row is over.
func TestTheClockIsReadWhenTheRowIsHeld(t *testing.T) {
	db := openServer(t, "pgx")
	table := newTable(t)
	s := onServer(t, db, table)
	must(t, s.Put(t.Context(), one("a", 1)))
	must(t, s.Claim(t.Context(), claimOf("a"), 2*time.Second))
	letGo := hold(t, db, table, "a")
	settled := make(chan error, 1)
	l := letter("a", 1)
	go func() { settled <- s.Settle(t.Context(), claimOf("a"), l.ID(), nil) }()
	schema, _, _ := strings.Cut(table, ".")
	until(t, db, waits, schema)
	until(t, db, `SELECT until < extract(epoch FROM clock_timestamp()) * 1000000 FROM `+table+`_keys`)
	letGo()
	if err := <-settled; !errors.Is(err, deadletter.ErrNotClaimed) {
		t.Errorf("Settle after the claim ran out: %v; want ErrNotClaimed", err)
	}

	// The time of a claim begins when it is given, not when it was asked for.
	letGo = hold(t, db, table, "a")
	other := claimOf("a")
	other.Token = "other"
	claimed := make(chan error, 1)
	go func() { claimed <- s.Claim(t.Context(), other, time.Second) }()
	until(t, db, waits, schema)
	asked := ask[float64](t, db, `SELECT extract(epoch FROM clock_timestamp())::float8`)
	until(t, db, `SELECT extract(epoch FROM clock_timestamp()) > $1 + 1.5`, asked)
	letGo()
	must(t, <-claimed)
	if left := ask[float64](t, db, `SELECT until / 1e6 - `+fmt.Sprint(asked)+` FROM `+table+`_keys`); left < 2.4 {
		t.Errorf("the claim of a second ends %.1f s after it was asked for, and was given after 1.5 s", left)
	}
}

// While a row is held, as by the settling of the last letter, who appends waits for what becomes of it.
func TestAnAppendWaitsForWhoHasTheKey(t *testing.T) {
	db := openServer(t, "pgx")
	table := newTable(t)
	s := onServer(t, db, table)
	schema, _, _ := strings.Cut(table, ".")
	for name, call := range map[string]func() error{
		"Put":               func() error { return s.Put(t.Context(), one("a", 2)) },
		"Park that opens":   func() error { return s.Park(t.Context(), one("a", 3), true) },
		"Park that appends": func() error { return s.Park(t.Context(), one("a", 4), false) },
	} {
		must(t, s.Park(t.Context(), one("a", 1), true))
		letGo := hold(t, db, table, "a")
		done := make(chan error, 1)
		go func() { done <- call() }()
		until(t, db, waits, schema)
		select {
		case err := <-done:
			t.Errorf("%s: %v before the row was let go", name, err)
		default:
		}
		letGo()
		must(t, <-done)
	}
	for _, key := range []string{"b", "c"} { // others do not wait
		letGo := hold(t, db, table, "a")
		must(t, s.Park(within(t, 10*time.Second), one(key, 1), true))
		letGo()
	}
}

// Writers of the same keys, in whatever order they have them, do not wait for each other in a circle.
func TestWritersOfManyKeysDoNotDeadlock(t *testing.T) {
	db, writing := openServer(t, "pgx"), openServer(t, "pgx", "application_name=writing")
	s := onServer(t, writing, newTable(t))
	const deadlocks = `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`
	before := ask[int64](t, db, deadlocks)
	var all sync.WaitGroup
	for w := range uint64(4) {
		all.Go(func() {
			for round := range uint64(15) {
				var ls []deadletter.Letter
				for k := range uint64(20) {
					if w%2 == 1 {
						k = 19 - k
					}
					ls = append(ls, letter(fmt.Sprintf("key-%02d", k), w*1000+round))
				}
				if err := s.Put(t.Context(), ls); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	must(t, writing.Close()) // a connection that ended has told what it counted
	until(t, db, `SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'writing'`)
	if n := ask[int64](t, db, deadlocks) - before; n > 0 {
		t.Errorf("%d deadlocks", n)
	}
}

// What a standby says may be old: a key that it does not know to be parked would have its records handed out.
func TestOnlyThePrimaryIsAsked(t *testing.T) {
	table := newTable(t)
	must(t, onServer(t, openServer(t, "pgx"), table).Park(t.Context(), one("a", 1), true))
	s := sqlletters.New(openServer(t, "pgx", "default_transaction_read_only=on"), &sqlletters.Config{Dialect: sqlletters.PostgreSQL, Table: table})
	wants := func(what string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), "letters need the primary") {
			t.Errorf("%s: %v; want an error that says so", what, err)
		}
	}
	n := 0
	for _, err := range s.Parked(t.Context(), scope) {
		n++
		wants("Parked", err)
	}
	for _, err := range s.Read(t.Context(), deadletter.Query{Scope: scope}) {
		n++
		wants("Read", err)
	}
	if n != 2 {
		t.Errorf("%d answers; want an error each", n)
	}
	wants("Put", s.Put(t.Context(), one("a", 2)))
	wants("Setup", s.Setup(t.Context()))
}

func TestManySetUpOneTable(t *testing.T) {
	table := newTable(t)
	var all sync.WaitGroup
	for range 6 {
		db := openServer(t, "pgx")
		all.Go(func() {
			if err := sqlletters.New(db, &sqlletters.Config{Dialect: sqlletters.PostgreSQL, Table: table}).Setup(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// The printed schema is enough, and so are the privileges that the documentation names.
func TestARoleWithThesePrivilegesKeepsLetters(t *testing.T) {
	table := newTable(t)
	db := openServer(t, "pgx")
	schema, _, _ := strings.Cut(table, ".")
	role := "r" + schema
	printed := sqlletters.New(nil, &sqlletters.Config{Dialect: sqlletters.PostgreSQL, Table: table}).Schema()
	execute(t, db, printed)
	execute(t, db, `CREATE ROLE `+role+` LOGIN PASSWORD 'secret'`)
	t.Cleanup(func() {
		if _, err := db.ExecContext(context.Background(), `DROP OWNED BY `+role+`; DROP ROLE `+role); err != nil {
			t.Error(err)
		}
	})
	execute(t, db, `GRANT USAGE ON SCHEMA `+schema+` TO `+role)
	as := openServer(t, "pgx", "options=-c role="+role)
	s := sqlletters.New(as, &sqlletters.Config{Dialect: sqlletters.PostgreSQL, Table: table, MustExist: true})
	if err := s.Setup(t.Context()); !errors.Is(err, sqlletters.ErrDenied) || !strings.Contains(err.Error(), "lacks DELETE") {
		t.Errorf("%v; want ErrDenied that says what the role lacks", err)
	}
	execute(t, db, `GRANT SELECT, INSERT, UPDATE, DELETE ON `+table+`, `+table+`_keys TO `+role)
	must(t, s.Setup(t.Context()))
	must(t, s.Park(t.Context(), one("a", 1), true))
	must(t, s.Claim(t.Context(), claimOf("a"), time.Minute))
	l := letter("a", 1)
	must(t, s.Settle(t.Context(), claimOf("a"), l.ID(), &deadletter.Failure{Worker: "w"}))
	must(t, s.Settle(t.Context(), claimOf("a"), l.ID(), nil))
}

func TestTablesOfAnotherShapeAreRefusedOnPostgreSQL(t *testing.T) {
	for _, c := range []struct{ change, want string }{
		{"ALTER TABLE %[1]s.letters DROP COLUMN payload", `"letters" has no column payload`},
		{"ALTER TABLE %[1]s.letters SET UNLOGGED", "UNLOGGED"},
		{"DROP INDEX %[1]s.letters_id; CREATE UNIQUE INDEX letters_id ON %[1]s.letters (place)", "want (id)"},
		{"ALTER TABLE %[1]s.letters_keys DROP CONSTRAINT letters_keys_pkey", "the primary key of"},
		{"CREATE UNIQUE INDEX own ON %[1]s.letters (place)", `index "own"`},
	} {
		t.Run(c.change, func(t *testing.T) {
			db := openServer(t, "pgx")
			table := newTable(t)
			s := onServer(t, db, table)
			schema, _, _ := strings.Cut(table, ".")
			execute(t, db, fmt.Sprintf(c.change, schema))
			if err := s.Setup(t.Context()); !errors.Is(err, sqlletters.ErrTable) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want ErrTable that says %s", err, c.want)
			}
		})
	}
}

// Names that are longer than an entry of an index can be are kept.
func TestNamesLongerThanAnIndexHolds(t *testing.T) {
	s := onServer(t, openServer(t, "pgx"), newTable(t))
	noise := make([]byte, 5000)
	for i := range noise {
		noise[i] = byte(i * i >> 3)
	}
	l := letter(string(noise), 1)
	l.Scope = deadletter.Scope{App: string(noise[1:]), Stream: string(noise[2:])}
	l.Shard = string(noise[3:])
	must(t, s.Park(t.Context(), []deadletter.Letter{l}, true))
	n := 0
	for got, err := range s.Read(t.Context(), deadletter.Query{Scope: l.Scope, ID: l.ID()}) {
		must(t, err)
		if n++; got.ID() != l.ID() || got.Key != l.Key {
			t.Error("another letter was read")
		}
	}
	if n != 1 {
		t.Errorf("%d letters; want one", n)
	}
}
