//go:build engines

package sqldedup_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/sqldedup"
)

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

// waits is whether a statement on a table waits for a lock.
const waits = `SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%' || $1 || '%'`

func schemaOf(table string) string {
	schema, _, _ := strings.Cut(table, ".")
	return schema
}

// The COMMIT is on its way when its connection ends, and arrives while the sink finds out what became of it: who only read the rows would see the old ones, and have the effects made twice.
func TestACommitThatArrivesLateIsWaitedFor(t *testing.T) {
	for _, scope := range []dedup.Scope{dedup.PerShard, dedup.PerKey, dedup.PerID} {
		t.Run(scope.String(), func(t *testing.T) {
			_, db, table := newServed(t)
			line, through := newWire(t, serverURL(t))
			s := onServer(t, openAt(t, "pgx", through, in(table)), table)
			seal(t, s, mark(scope, 0))
			later := make(chan struct{})
			line.delay(later)
			calls, applied := 0, make(chan error, 1)
			m := mark(scope, 1)
			go func() {
				applied <- s.Apply(t.Context(), []dedup.Mark{m}, func(tx *sql.Tx, fresh []int) error {
					calls++
					return insert(t.Context(), m)(tx, fresh)
				})
			}()
			until(t, db, waits, schemaOf(table))
			if n := count(t, db); n != 0 {
				t.Errorf("%d effects stand before the COMMIT has arrived", n)
			}
			close(later)
			if err := <-applied; err != nil || calls != 1 || count(t, db) != 1 {
				t.Errorf("%v, %d calls and %d effects; want one of each and no error", err, calls, count(t, db))
			}
		})
	}
}

// A worker stands still in the middle of an Apply. Who follows it gets through when the server has ended its transaction, and nothing of it is kept.
func TestAWorkerThatStandsStillDoesNotHoldUpItsSuccessor(t *testing.T) {
	for _, scope := range []dedup.Scope{dedup.PerShard, dedup.PerKey} {
		t.Run(scope.String(), func(t *testing.T) {
			_, db, table := newServed(t)
			s := configured(t, db, sqldedup.Config{Table: table, Idle: 700 * time.Millisecond})
			successor := onServer(t, openServer(t, "pgx", in(table)), table)
			seal(t, s, mark(scope, 0))
			inside, goOn := make(chan struct{}), make(chan struct{})
			stopped := make(chan error, 1)
			m := mark(scope, 1)
			go func() {
				stopped <- s.Apply(t.Context(), []dedup.Mark{m}, func(tx *sql.Tx, fresh []int) error {
					if err := insert(t.Context(), m)(tx, fresh); err != nil {
						return err
					}
					close(inside)
					<-goOn
					return nil
				})
			}()
			<-inside
			low, err := successor.Seal(within(t, 10*time.Second), start(next(m)))
			if err != nil || !low.IsZero() {
				t.Errorf("Seal of the successor: low %s, %v; want the one before the first record", low, err)
			}
			apply(t, successor, next(m))
			close(goOn)
			if err := <-stopped; err == nil || count(t, db) != 1 {
				t.Errorf("%v, %d effects; want an error for who stood still, and one effect", err, count(t, db))
			}
			if err := s.Apply(t.Context(), []dedup.Mark{mark(scope, 2)}, insert(t.Context(), mark(scope, 2))); !errors.Is(err, dedup.ErrFenced) {
				t.Errorf("%v; want ErrFenced", err)
			}
		})
	}
}

// Lanes are in their transactions at once.
func TestLanesDoNotWaitForEachOther(t *testing.T) {
	s, db, _ := newServed(t)
	seal(t, s, mark(dedup.PerKey, 0))
	const lanes = 6
	var inside, all sync.WaitGroup
	inside.Add(lanes)
	ctx := within(t, 20*time.Second)
	for n := range uint64(lanes) {
		m := key(mark(dedup.PerKey, n+1), fmt.Sprint("key ", n))
		all.Go(func() {
			err := s.Apply(ctx, []dedup.Mark{m}, func(tx *sql.Tx, fresh []int) error {
				if err := insert(ctx, m)(tx, fresh); err != nil {
					return err
				}
				inside.Done()
				met := make(chan struct{})
				go func() { inside.Wait(); close(met) }()
				select {
				case <-met:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			})
			if err != nil {
				t.Error(err)
				inside.Done()
			}
		})
	}
	all.Wait()
	if n := count(t, db); n != lanes {
		t.Errorf("%d effects; want %d", n, lanes)
	}
}

// Low moves while lanes are under way, and neither waits.
func TestLowMovesWhileLanesAreUnderWay(t *testing.T) {
	s, db, _ := newServed(t)
	seal(t, s, mark(dedup.PerKey, 0))
	apply(t, s, key(mark(dedup.PerKey, 1), "a"))
	m := key(mark(dedup.PerKey, 2), "b")
	must(t, s.Apply(t.Context(), []dedup.Mark{m}, func(tx *sql.Tx, fresh []int) error {
		if err := s.Advance(within(t, 10*time.Second), mark(dedup.PerKey, 1)); err != nil {
			t.Error(err)
		}
		return insert(t.Context(), m)(tx, fresh)
	}))
	if n := count(t, db); n != 2 {
		t.Errorf("%d effects; want 2", n)
	}
}

// Lanes come one after the other without a gap, and one who seals gets in between.
func TestASealGetsThroughABusyShard(t *testing.T) {
	_, db, table := newServed(t)
	s := onServer(t, db, table)
	successor := onServer(t, openServer(t, "pgx", in(table)), table)
	seal(t, s, mark(dedup.PerKey, 0))
	ctx, stop := context.WithCancel(within(t, 30*time.Second))
	defer stop()
	var busy sync.WaitGroup
	var applied atomic.Int64
	const lanes = 16
	db.SetMaxIdleConns(lanes)
	for l := range lanes {
		busy.Go(func() {
			for ctx.Err() == nil {
				m := key(mark(dedup.PerKey, uint64(applied.Add(1))*lanes+uint64(l)), fmt.Sprint(l)) //nolint:gosec // small
				err := s.Apply(ctx, []dedup.Mark{m}, func(tx *sql.Tx, _ []int) error {
					_, err := tx.ExecContext(ctx, `SELECT pg_sleep(0.05)`)
					return err
				})
				if errors.Is(err, dedup.ErrFenced) {
					return
				}
				if err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		})
	}
	until(t, db, `SELECT count(*) > 16 FROM `+table+`_done`)
	_, err := successor.Seal(within(t, 10*time.Second), start(next(mark(dedup.PerKey, 0))))
	if err != nil {
		t.Error(err)
		stop()
	}
	busy.Wait()
}

// Two lanes lock rows in the opposite order. The server has one of them give up, and it is done again.
func TestADeadlockIsTriedAgain(t *testing.T) {
	s, db, table := newServed(t)
	execute(t, db, `CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL); INSERT INTO accounts VALUES (1, 0), (2, 0)`)
	seal(t, s, mark(dedup.PerKey, 0))
	var calls atomic.Int64
	var both, all sync.WaitGroup
	both.Add(2)
	for n, order := range [][2]int{{1, 2}, {2, 1}} {
		m := key(mark(dedup.PerKey, uint64(n+1)), fmt.Sprint(n)) //nolint:gosec // small
		var first sync.Once
		all.Go(func() {
			err := s.Apply(t.Context(), []dedup.Mark{m}, func(tx *sql.Tx, _ []int) error {
				calls.Add(1)
				for i, id := range order {
					if _, err := tx.ExecContext(t.Context(), `UPDATE accounts SET balance = balance + 1 WHERE id = $1`, id); err != nil {
						return fmt.Errorf("account %d: %w", id, err)
					}
					if i == 0 {
						first.Do(func() { both.Done(); both.Wait() })
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if sum := ask[int](t, db, `SELECT sum(balance) FROM accounts`); sum != 4 || calls.Load() != 3 {
		t.Errorf("a sum of %d in %d calls; want 4 in 3, on %s", sum, calls.Load(), table)
	}
}

// In a database whose language orders digits as numbers, positions order as bytes.
func TestPositionsOrderAsBytesInEveryLanguage(t *testing.T) {
	admin := openServer(t, "pgx")
	name := schemaOf(newTable(t))
	execute(t, admin, `CREATE DATABASE `+name+` ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en-u-kn-true' LOCALE 'C' TEMPLATE template0`)
	t.Cleanup(func() {
		if _, err := admin.ExecContext(context.Background(), `DROP DATABASE `+name+` WITH (FORCE)`); err != nil {
			t.Error(err)
		}
	})
	db := openAt(t, "pgx", strings.Replace(serverURL(t), "/postgres?", "/"+name+"?", 1))
	if ask[bool](t, db, `SELECT '9' > '10'`) {
		t.Fatal("the language orders digits as bytes")
	}
	execute(t, db, effects)
	s := onServer(t, db, "marks")
	for _, scope := range []dedup.Scope{dedup.PerShard, dedup.PerKey} {
		m := mark(scope, 0)
		m.Shard = scope.String()
		seal(t, s, m)
		for i, p := range ascending(t) {
			m.Position = p
			calls := 0
			must(t, s.Apply(t.Context(), []dedup.Mark{m}, func(*sql.Tx, []int) error { calls++; return nil }))
			if calls != 1 {
				t.Errorf("position %d, %.60s, in %s: %d calls; want one", i, p, scope, calls)
			}
		}
		m.Position = checkpoint.End()
		must(t, s.Advance(t.Context(), m))
		if low := seal(t, s, m); !low.IsEnd() {
			t.Errorf("low of %s is %s; want the end", scope, low)
		}
	}
	if n := ask[int](t, db, `SELECT count(*) FROM marks_done WHERE lane <> 's'`); n != 0 {
		t.Errorf("%d marks of keys are left below the end", n)
	}
}

// Only the primary is asked: what a standby says may be old.
func TestOnlyThePrimaryIsAsked(t *testing.T) {
	s, _, table := newServed(t)
	seal(t, s, mark(dedup.PerShard, 0))
	must(t, s.Bury(t.Context(), []dedup.Mark{mark(dedup.PerShard, 1)}))
	old := sqldedup.New(openServer(t, "pgx", "default_transaction_read_only=on", in(table)), &sqldedup.Config{Dialect: sqldedup.PostgreSQL, Table: table})
	redriven := mark(dedup.PerShard, 1)
	redriven.Redrive = true
	other := mark(dedup.PerShard, 2)
	other.Redrive = true
	for what, call := range map[string]func() error{
		"Apply":                  func() error { return old.Apply(t.Context(), []dedup.Mark{mark(dedup.PerShard, 1)}, nil) },
		"Bury":                   func() error { return old.Bury(t.Context(), []dedup.Mark{mark(dedup.PerShard, 1)}) },
		"Advance":                func() error { return old.Advance(t.Context(), mark(dedup.PerShard, 1)) },
		"a redrive":              func() error { return old.Apply(t.Context(), []dedup.Mark{redriven}, nil) },
		"a redrive of no letter": func() error { return old.Apply(t.Context(), []dedup.Mark{other}, nil) },
		"Seal": func() error {
			_, err := old.Seal(t.Context(), next(mark(dedup.PerShard, 0)))
			return err
		},
	} {
		if err := call(); !errors.Is(err, dedup.ErrUnavailable) || !strings.Contains(err.Error(), "need the primary") {
			t.Errorf("%s: %v; want ErrUnavailable that says to use the primary", what, err)
		}
	}
}

func TestManySetUpOneTable(t *testing.T) {
	table := newTable(t)
	var all sync.WaitGroup
	for range 6 {
		db := openServer(t, "pgx")
		all.Go(func() {
			if err := sqldedup.New(db, &sqldedup.Config{Dialect: sqldedup.PostgreSQL, Table: table}).Setup(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// The printed schema is enough, and so are the privileges that the documentation names.
func TestARoleWithThesePrivilegesKeepsMarks(t *testing.T) {
	table := newTable(t)
	db := openServer(t, "pgx")
	schema := schemaOf(table)
	role := "r" + schema
	execute(t, db, sqldedup.New(nil, &sqldedup.Config{Dialect: sqldedup.PostgreSQL, Table: table}).Schema())
	execute(t, db, `CREATE ROLE `+role+` LOGIN PASSWORD 'secret'`)
	t.Cleanup(func() {
		if _, err := db.ExecContext(context.Background(), `DROP OWNED BY `+role+`; DROP ROLE `+role); err != nil {
			t.Error(err)
		}
	})
	execute(t, db, `GRANT USAGE ON SCHEMA `+schema+` TO `+role)
	execute(t, db, `GRANT SELECT, INSERT ON `+schema+`.effects TO `+role)
	as := openServer(t, "pgx", "options=-c role="+role+" -c search_path="+schema)
	s := sqldedup.New(as, &sqldedup.Config{Dialect: sqldedup.PostgreSQL, Table: table, MustExist: true, TTL: time.Hour})
	if err := s.Setup(t.Context()); !errors.Is(err, sqldedup.ErrDenied) || !strings.Contains(err.Error(), "lacks DELETE") {
		t.Errorf("%v; want ErrDenied that says what the role lacks", err)
	}
	if _, err := s.Seal(t.Context(), start(mark(dedup.PerKey, 0))); !errors.Is(err, dedup.ErrUnavailable) || !errors.Is(err, sqldedup.ErrDenied) {
		t.Errorf("%v; want ErrUnavailable and ErrDenied", err)
	}
	execute(t, db, fmt.Sprintf(`GRANT SELECT, INSERT, UPDATE, DELETE ON %[1]s_seals, %[1]s_done, %[1]s_dead, %[1]s_ids TO %s`, table, role))
	must(t, s.Setup(t.Context()))
	for n, scope := range []dedup.Scope{dedup.PerShard, dedup.PerKey, dedup.PerID} {
		m := mark(scope, uint64(3*n+1)) //nolint:gosec // small
		m.Shard = scope.String()
		seal(t, s, m)
		apply(t, s, m)
		letter := m
		letter.Position = checkpoint.Offset(uint64(3*n + 2)) //nolint:gosec // small
		must(t, s.Bury(t.Context(), []dedup.Mark{letter}))
		must(t, s.Advance(t.Context(), letter))
		letter.Redrive = true
		apply(t, s, letter)
		m.Epoch, m.Generation, m.Session = 2, 2, "two"
		seal(t, s, m)
	}
	if n := count(t, as); n != 6 {
		t.Errorf("%d effects; want 6", n)
	}
}

func TestTablesOfAnotherShapeAreRefusedOnPostgreSQL(t *testing.T) {
	for _, c := range []struct{ change, want string }{
		{"ALTER TABLE %[1]s_done DROP COLUMN sort", `"marks_done" has no column sort`},
		{`ALTER TABLE %[1]s_done ALTER COLUMN sort TYPE text COLLATE "default"`, `want text COLLATE "C"`},
		{"ALTER TABLE %[1]s_seals SET UNLOGGED", "UNLOGGED"},
		{"ALTER TABLE %[1]s_dead DROP CONSTRAINT marks_dead_pkey", "the primary key of"},
		{"DROP INDEX %[1]s_ids_at; CREATE INDEX marks_ids_at ON %[1]s_ids (generation)", "want (at)"},
		{"CREATE UNIQUE INDEX own ON %[1]s_seals (epoch)", `index "own"`},
	} {
		t.Run(c.change, func(t *testing.T) {
			s, db, table := newServed(t)
			execute(t, db, fmt.Sprintf(c.change, table))
			if err := s.Setup(t.Context()); !errors.Is(err, sqldedup.ErrTable) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want ErrTable that says %s", err, c.want)
			}
		})
	}
}

func TestAFunctionThatEndsItsTransactionOnPostgreSQL(t *testing.T) {
	for _, driver := range []string{"pgx", "postgres"} {
		t.Run(driver, func(t *testing.T) {
			endsItsTransaction(t, func(t *testing.T) (*sqldedup.Sink, *sql.DB) {
				table := newTable(t)
				db := openServer(t, driver, in(table))
				return onServer(t, db, table), db
			})
		})
	}
}

func TestAConstraintThatIsCheckedAtCommitOnPostgreSQL(t *testing.T) {
	for _, driver := range []string{"pgx", "postgres"} {
		table := newTable(t)
		db := openServer(t, driver, in(table))
		violatesAtCommit(t, onServer(t, db, table), db)
	}
}

// A function that passes over the error of a statement has a transaction in which nothing can be kept.
func TestAnErrorThatIsPassedOver(t *testing.T) {
	for _, driver := range []string{"pgx", "postgres"} {
		table := newTable(t)
		db := openServer(t, driver, in(table))
		s := onServer(t, db, table)
		m := mark(dedup.PerShard, 1)
		seal(t, s, m)
		err := s.Apply(t.Context(), []dedup.Mark{m}, func(tx *sql.Tx, fresh []int) error {
			must(t, insert(t.Context(), m)(tx, fresh))
			_ = insert(t.Context(), m)(tx, fresh)
			return nil
		})
		if _, ok := errors.AsType[*dedup.RolledBackError](err); !ok || !strings.Contains(err.Error(), "a statement had failed") {
			t.Errorf("%v; want a RolledBackError that says why", err)
		}
		apply(t, s, m)
	}
}

// What befalls a function for the database's reasons is no record's fault.
func TestTheDatabaseIsBlamedForWhatItDoes(t *testing.T) {
	s, db, table := newServed(t)
	m := mark(dedup.PerShard, 1)
	seal(t, s, m)
	for what, statement := range map[string]string{
		"a server that ends the connection": `SELECT pg_terminate_backend(pg_backend_pid())`,
		"a transaction that is read only":   `SET TRANSACTION READ ONLY; INSERT INTO effects VALUES (9)`,
		"a role without privileges":         `SET LOCAL ROLE pg_monitor; SELECT * FROM ` + schemaOf(table) + `.effects`,
	} {
		ctx, calls := within(t, 10*time.Second), 0
		err := s.Apply(ctx, []dedup.Mark{m}, func(tx *sql.Tx, _ []int) error {
			calls++
			if calls > 1 {
				return nil
			}
			_, err := tx.ExecContext(ctx, statement)
			return err
		})
		if calls == 1 && !errors.Is(err, dedup.ErrUnavailable) || calls > 1 && err != nil {
			t.Errorf("%s: %v after %d calls; want ErrUnavailable, or another call", what, err, calls)
		}
		m.Position = checkpoint.Offset(ask[uint64](t, db, `SELECT max('0' || position)::int + 1 FROM marks_done`))
	}
}

// A server that cannot be reached did nothing.
func TestAServerThatIsAway(t *testing.T) {
	_, _, table := newServed(t)
	line, through := newWire(t, serverURL(t))
	s := onServer(t, openAt(t, "pgx", through, in(table)), table)
	m := mark(dedup.PerShard, 1)
	seal(t, s, m)
	line.set(true)
	if err := s.Apply(within(t, 2*time.Second), []dedup.Mark{m}, insert(t.Context(), m)); !errors.Is(err, dedup.ErrUnavailable) {
		t.Errorf("%v; want ErrUnavailable", err)
	}
	if _, err := s.Seal(within(t, 2*time.Second), m); !errors.Is(err, dedup.ErrUnavailable) {
		t.Errorf("%v; want ErrUnavailable", err)
	}
	line.set(false)
	apply(t, s, m)
}

// One owner of two, who do not know of each other, applies a record of PerID, and the other finds it applied: also when both are in the middle.
func TestARecordInNoOrderIsAppliedByOneOfTwo(t *testing.T) {
	_, db, table := newServed(t)
	other := onServer(t, openServer(t, "pgx", in(table)), table)
	s := onServer(t, db, table)
	m := mark(dedup.PerID, 1)
	second := make(chan error, 1)
	must(t, s.Apply(t.Context(), []dedup.Mark{m}, func(tx *sql.Tx, fresh []int) error {
		go func() {
			second <- other.Apply(t.Context(), []dedup.Mark{m}, func(*sql.Tx, []int) error {
				t.Error("the record is applied twice")
				return nil
			})
		}()
		until(t, db, waits, schemaOf(table))
		return insert(t.Context(), m)(tx, fresh)
	}))
	must(t, <-second)
}

// An Apply that begins while a successor seals waits, and then sees who has sealed: not what was stored when it began.
func TestAnApplyThatWaitsForASealSeesIt(t *testing.T) {
	for _, scope := range []dedup.Scope{dedup.PerShard, dedup.PerKey} {
		t.Run(scope.String(), func(t *testing.T) {
			s, db, table := newServed(t)
			line, through := newWire(t, serverURL(t))
			successor := onServer(t, openAt(t, "pgx", through, in(table)), table)
			m := mark(scope, 1)
			seal(t, s, m)
			later := make(chan struct{})
			line.delay(later)
			sealed, applied := make(chan error, 1), make(chan error, 1)
			go func() {
				_, err := successor.Seal(t.Context(), start(next(m)))
				sealed <- err
			}()
			until(t, db, `SELECT count(*) = 1 FROM pg_stat_activity WHERE state = 'idle in transaction' AND query LIKE '%' || $1 || '%'`, schemaOf(table))
			go func() { applied <- s.Apply(t.Context(), []dedup.Mark{m}, insert(t.Context(), m)) }()
			until(t, db, `SELECT count(*) = 2 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%' || $1 || '%'`, schemaOf(table)) // the Apply, and the sink that finds out about its Seal
			close(later)
			must(t, <-sealed)
			if err := <-applied; !errors.Is(err, dedup.ErrFenced) || count(t, db) != 0 {
				t.Errorf("%v, %d effects; want ErrFenced and none", err, count(t, db))
			}
		})
	}
}
