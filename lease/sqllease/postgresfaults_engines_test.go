//go:build engines

package sqllease_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/lease"
)

// reached tells whether a statement is of a stage. BEGIN says READ COMMITTED, too.
func reached(stage, query string) bool {
	return query == stage || stage != "COMMIT" && strings.Contains(query, stage)
}

// first fails, once, the first statement of a stage, or does something then.
func first(stage string, f func() error) func(driver.ExecerContext, string) error {
	done := false
	return func(_ driver.ExecerContext, query string) error {
		if done || !reached(stage, query) {
			return nil
		}
		done = true
		return f()
	}
}

// stages are the statements of a Put of a known and a new row, and what it is known by.
var stages = []string{"BEGIN", "FOR UPDATE", "_cursor", "SET version", "INSERT", "COMMIT"}

// Whatever a statement fails with because of others is tried again, and nothing is left of the attempt.
func TestSerializationFailuresAndDeadlocksAreTriedAgain(t *testing.T) {
	tp, s, other, _ := tappedServed(t)
	for _, code := range []string{"40001", "40P01", "55P03"} {
		for _, stage := range stages {
			t.Run(code+" at "+stage, func(t *testing.T) {
				known, fresh := fmt.Sprintf("%s/known-%s", code, stage), fmt.Sprintf("%s/new-%s", code, stage)
				put(t, other, row(known, 0))
				tp.before = first(stage, func() error { return &pgconn.PgError{Code: code} })
				put(t, s, row(known, 1), row(fresh, 0))
				tp.before = nil
				if k, f := get(t, s, known).Version, get(t, s, fresh).Version; k != 2 || f != 1 {
					t.Errorf("versions %d and %d; want 2 and 1", k, f)
				}
			})
		}
	}
}

// The role, the database or the connection may ask for less, or for another isolation; and is left as it was.
func TestATransactionIsWhatItMustBeWhateverTheRoleIsSetTo(t *testing.T) {
	for parameter, want := range map[string]string{
		"synchronous_commit=off":                      "on",
		"synchronous_commit=local":                    "on",
		"synchronous_commit=remote_write":             "on",
		"synchronous_commit=on":                       "on",
		"synchronous_commit=remote_apply":             "remote_apply",
		"default_transaction_isolation=serializable":  "on",
		"idle_in_transaction_session_timeout=1000000": "on",
	} {
		t.Run(parameter, func(t *testing.T) {
			tp, s, _, db := tappedServed(t, parameter)
			db.SetMaxOpenConns(1)
			const settings = "SELECT concat_ws(' ', current_setting('synchronous_commit'), current_setting('transaction_isolation'), current_setting('idle_in_transaction_session_timeout'))"
			outside := ask[string](t, db, settings)
			var seen []string
			tp.before = func(conn driver.ExecerContext, query string) error {
				if query != "COMMIT" {
					return nil
				}
				rows, err := conn.(driver.QueryerContext).QueryContext(t.Context(), settings, nil)
				if err != nil {
					return err
				}
				value := make([]driver.Value, 1)
				err = rows.Next(value)
				seen = append(seen, fmt.Sprint(value[0]))
				return errors.Join(err, rows.Close())
			}
			put(t, s, row("a/1", 0))
			quiet := row("a/1", 1)
			quiet.Cursor = "kept"
			put(t, s, quiet)
			if want := want + " read committed 5s"; !slices.Equal(seen, []string{want, want}) {
				t.Errorf("committed with %q; want %q", seen, want)
			}
			if after := ask[string](t, db, settings); after != outside {
				t.Errorf("left %q; it was %q", after, outside)
			}
		})
	}
}

// A write that keeps its place waits for another's of the same row, and then compares versions anew.
func TestAWriteThatWaitedForAnotherIsAConflict(t *testing.T) {
	for _, parameter := range []string{"application_name=plain", "default_transaction_isolation=serializable"} {
		tp, s, other, db := tappedServed(t, parameter)
		put(t, other, row("a/row", 0))
		quiet := row("a/row", 1)
		quiet.Cursor = get(t, other, "a/row").Cursor
		answer := make(chan []error, 1)
		tp.before = first("COMMIT", func() error {
			go func() { answer <- other.Put(t.Context(), []lease.Row{quiet}) }()
			ctx := within(t, time.Minute)
			for ask[int](t, db, "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'") == 0 {
				if err := backoff.Wait(ctx, 5*time.Millisecond); err != nil {
					return err
				}
			}
			return nil
		})
		put(t, s, quiet)
		if errs := <-answer; len(errs) != 1 || !errors.Is(errs[0], lease.ErrConflict) || !strings.Contains(errs[0].Error(), "it has version 2") {
			t.Errorf("%v; want a conflict", errs)
		}
	}
}

// The server ends a connection, as at a restart, in the middle of a transaction: it is tried again on another. At COMMIT nobody knows, and nobody supposes.
func TestAnEndedBackendIsReplaced(t *testing.T) {
	for _, stage := range stages {
		t.Run(stage, func(t *testing.T) {
			tp, s, other, _ := tappedServed(t)
			admin := openServer(t, "pgx", serverURL(t))
			put(t, other, row("a/1", 0))
			done := false
			tp.before = func(conn driver.ExecerContext, query string) error {
				if done || !reached(stage, query) {
					return nil
				}
				done = true
				rows, err := conn.(driver.QueryerContext).QueryContext(t.Context(), "SELECT pg_backend_pid()", nil)
				if err != nil {
					return err
				}
				value := make([]driver.Value, 1)
				if err := errors.Join(rows.Next(value), rows.Close()); err != nil {
					return err
				}
				execute(t, admin, "SELECT pg_terminate_backend($1::bigint::int, 5000)", value[0])
				return nil
			}
			errs := s.Put(t.Context(), []lease.Row{row("a/1", 1), row("a/2", 0)})
			if stage != "COMMIT" && errs != nil {
				t.Errorf("%v; want it tried again", errs)
			}
			if stage == "COMMIT" {
				for _, err := range errs {
					if err == nil || errors.Is(err, lease.ErrConflict) {
						t.Errorf("at COMMIT: %v", err)
					}
				}
				if v := get(t, s, "a/1").Version; v != 1 {
					t.Errorf("version %d of a transaction that was ended", v)
				}
			}
			tp.before = nil
			put(t, s, row("a/3", 0))
		})
	}
}

// Hazard 17: the transaction was committed and the answer was lost. What is known is not that it is a conflict, and the caller who writes again meets its own version.
func TestHazard17ALostAnswerOfPostgreSQLIsNoConflictUntilItIsWrittenAgain(t *testing.T) {
	for driver, address := range map[string]string{"pgx": serverURL(t), "postgres": serverURL(t)} {
		t.Run(driver, func(t *testing.T) {
			_, _, table := newServed(t)
			w, through := newWire(t, address)
			s := onServer(openServer(t, driver, through), table)
			put(t, s, row("a/other", 0))
			commit := "COMMIT\x00"
			w.cutAfter.Store(&commit)
			errs := s.Put(within(t, 10*time.Second), []lease.Row{row("a/row", 0)})
			if len(errs) != 1 || errs[0] == nil || errors.Is(errs[0], lease.ErrConflict) || !strings.Contains(errs[0].Error(), "it is not known whether it was applied") {
				t.Fatalf("%v; want an error that says nothing of the row", errs)
			}
			if v := get(t, s, "a/row").Version; v != 1 {
				t.Errorf("version %d; the write was applied", v)
			}
			errs = s.Put(t.Context(), []lease.Row{row("a/row", 0)})
			if len(errs) != 1 || !errors.Is(errs[0], lease.ErrConflict) {
				t.Errorf("%v; want a conflict", errs)
			}
		})
	}
}

// A host that loses its power says nothing to the server. What it had locked is given to others after five seconds, and not after the hours in which a connection is
// found dead; and the worker whose network is gone has its answer when its context ends.
func TestALostHostHoldsItsRowsForSeconds(t *testing.T) {
	other, _, table := newServed(t)
	put(t, other, row("a/row", 0))
	w, through := newWire(t, serverURL(t))
	tp, db, s, err := tapOn(through + "#" + table)
	if err != nil {
		t.Fatal(err)
	}
	tp.before = first("COMMIT", func() error { w.dead.Store(true); return nil })
	begun := time.Now()
	errs := s.Put(within(t, time.Second), []lease.Row{row("a/row", 1)})
	if took := time.Since(begun); len(errs) != 1 || !errors.Is(errs[0], context.DeadlineExceeded) || errors.Is(errs[0], lease.ErrConflict) || took > 4*time.Second {
		t.Errorf("%v after %v; want the end of the context, soon", errs, took)
	}
	if errs := other.Put(within(t, 30*time.Second), []lease.Row{row("a/row", 1)}); errs != nil {
		t.Errorf("another's write after the loss: %v", errs)
	}
	if took := time.Since(begun); took < 3*time.Second || took > 20*time.Second {
		t.Errorf("it was let in after %v; want about 5 s", took)
	}
	w.cut()
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

func TestAContextThatEndsInTheMiddleLeavesNothingOnPostgreSQL(t *testing.T) {
	tp, s, other, _ := tappedServed(t)
	for _, stage := range stages[:len(stages)-1] {
		t.Run(stage, func(t *testing.T) {
			key := "a/" + stage
			put(t, other, row(key, 0))
			why := errors.New("why")
			ctx, cancel := context.WithCancelCause(t.Context())
			tp.after = first(stage, func() error { cancel(why); return nil })
			errs := s.Put(ctx, []lease.Row{row(key, 1), row(key+"-new", 0)})
			tp.after = nil
			if len(errs) != 2 || !errors.Is(errs[1], why) || errors.Is(errs[1], lease.ErrConflict) {
				t.Fatalf("%v; want why the context ended", errs)
			}
			put(t, other, row(key, 1), row(key+"-new", 0))
			put(t, s, row(key, 2), row(key+"-new", 1))
		})
	}
}

func TestAWaitForARowEndsWithItsContext(t *testing.T) {
	for _, driver := range []string{"pgx", "postgres"} {
		t.Run(driver, func(t *testing.T) {
			_, db, table := newServed(t)
			s := onServer(openServer(t, driver, serverURL(t)), table)
			put(t, s, row("a/row", 0))
			tx, err := db.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.ExecContext(t.Context(), "SELECT FROM "+table+" FOR UPDATE"); err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			errs := s.Put(within(t, 200*time.Millisecond), []lease.Row{row("a/row", 1)})
			if len(errs) != 1 || !errors.Is(errs[0], context.DeadlineExceeded) || !strings.Contains(errs[0].Error(), `write "a/row" at version 1`) || time.Since(begun) > 5*time.Second {
				t.Errorf("%v after %v; want the end of the context", errs, time.Since(begun))
			}
			if err := tx.Rollback(); err != nil {
				t.Error(err)
			}
			put(t, s, row("a/row", 1))
		})
	}
}

// What somebody added refuses one row, or the row is too large for the index: the others are written.
func TestARowThatPostgreSQLRefusesHindersNoOther(t *testing.T) {
	for name, add := range map[string]string{
		"check":   "ALTER TABLE %[1]s ADD CHECK (name <> '7')",
		"trigger": "CREATE FUNCTION %[1]s_no() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF new.name = '7' THEN RAISE 'not seven'; END IF; RETURN new; END$$; CREATE TRIGGER no BEFORE INSERT ON %[1]s FOR EACH ROW EXECUTE FUNCTION %[1]s_no()",
		"long":    "SELECT '%[1]s'",
	} {
		t.Run(name, func(t *testing.T) {
			s, db, table := newServed(t)
			execute(t, db, fmt.Sprintf(add, table))
			rows := batch(0)
			if name == "long" {
				rows[7].Key = "a/7" + noise(9000)
			}
			errs := s.Put(t.Context(), rows)
			if len(errs) != 30 {
				t.Fatalf("%v; want an error for the row", errs)
			}
			for i, err := range errs {
				if (i == 7) != (err != nil) || errors.Is(err, lease.ErrConflict) {
					t.Errorf("row %d: %v", i, err)
				}
			}
			if keys := listed(t, s, "a/", ""); len(keys) != 29 {
				t.Errorf("listed %d rows; want all but one", len(keys))
			}
		})
	}
}

// noise is text that does not compress.
func noise(n int) string {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = 'a' + byte(x>>24)%26
	}
	return string(b)
}

func TestAMissingCounterIsNamedOnPostgreSQL(t *testing.T) {
	s, db, table := newServed(t)
	execute(t, db, "DELETE FROM "+table+"_cursor")
	errs := s.Put(t.Context(), []lease.Row{row("a/row", 0)})
	if len(errs) != 1 || !strings.Contains(errs[0].Error(), "leases_cursor, is gone: Setup makes it") {
		t.Errorf("%v", errs)
	}
	if err := s.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, s, row("a/row", 0))
}

func TestAnErrorInTheMiddleIsOfEveryRowOnPostgreSQL(t *testing.T) {
	tp, s, other, _ := tappedServed(t)
	put(t, other, row("a/1", 0))
	for _, stage := range stages {
		tp.before = first(stage, func() error { return io.ErrUnexpectedEOF })
		errs := s.Put(t.Context(), []lease.Row{row("a/1", 1), row("a/2", 0)})
		if len(errs) != 2 {
			t.Errorf("at %s: %v; want an error for each row", stage, errs)
		}
		for _, err := range errs {
			if !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, lease.ErrConflict) {
				t.Errorf("at %s: %v", stage, err)
			}
		}
		tp.before = nil
		if one, two := get(t, other, "a/1").Version, get(t, other, "a/2").Version; one != 1 || two != 0 {
			t.Errorf("versions %d and %d are left after an error at %s", one, two, stage)
		}
	}
	put(t, s, row("a/1", 1), row("a/2", 0))
}
