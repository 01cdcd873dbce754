package sqllease_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/sqllease"
)

// tappedStore is a store behind a tap, set up, and one on the same file that is not.
func tappedStore(t *testing.T) (tp *tap, s, other *sqllease.Store, db *sql.DB) {
	t.Helper()
	file := newFile(t)
	tp, db = tapped(t, file)
	s, other = sqllease.New(db, nil), sqllease.New(open(t, file), nil)
	if err := s.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	return tp, s, other, db
}

// coded is an error with a result code, as modernc.org/sqlite has them.
type coded int

func (c coded) Error() string { return fmt.Sprintf("result %d", int(c)) }

func (c coded) Code() int { return int(c) }

// once fails the first of the statements that begin so.
func once(prefix string, err error) func(driver.ExecerContext, string) error {
	done := false
	return func(_ driver.ExecerContext, query string) error {
		if !done && strings.HasPrefix(query, prefix) {
			done = true
			return err
		}
		return nil
	}
}

// Whatever a statement fails with because of others' locks is tried again, and nothing is left of the attempt.
func TestWhatOthersCauseIsTriedAgain(t *testing.T) {
	type fault struct {
		code      coded
		statement string
	}
	var faults []fault
	for _, code := range []coded{5, 5 | 1<<8, 5 | 2<<8, 5 | 3<<8, 6, 6 | 1<<8, 15} {
		faults = append(faults, fault{code, "BEGIN"})
	}
	for _, statement := range []string{"PRAGMA main.synchronous", "UPDATE main.\"runnel_leases_cursor\"", "UPDATE main.\"runnel_leases\"", "INSERT", "COMMIT", "SELECT"} {
		faults = append(faults, fault{5, statement})
	}
	for _, f := range faults {
		t.Run(fmt.Sprintf("%d at %s", int(f.code), f.statement), func(t *testing.T) {
			tp, s, other, _ := tappedStore(t)
			put(t, s, row("a/1", 0))
			tp.before = once(f.statement, f.code)
			put(t, s, row("a/1", 1), row("a/2", 0))
			if v := get(t, s, "a/1").Version; v != 2 {
				t.Errorf("version %d; want 2", v)
			}
			put(t, other, row("a/1", 2))
		})
	}
}

// A row that was a conflict in an attempt that came to nothing is judged anew in the next.
func TestAnAttemptKeepsNothingOfTheOneBefore(t *testing.T) {
	for name, write := range map[string]func(*sqllease.Store) func(context.Context, []lease.Row) []error{
		"Put":    func(s *sqllease.Store) func(context.Context, []lease.Row) []error { return s.Put },
		"Delete": func(s *sqllease.Store) func(context.Context, []lease.Row) []error { return s.Delete },
	} {
		t.Run(name, func(t *testing.T) {
			tp, s, other, _ := tappedStore(t)
			put(t, other, row("a/there", 0))
			failed := false
			tp.before = func(_ driver.ExecerContext, query string) error {
				switch {
				case query == "COMMIT" && !failed:
					failed = true
					return coded(5)
				case query == "BEGIN IMMEDIATE" && failed:
					put(t, other, row("a/late", 0))
				}
				return nil
			}
			if errs := write(s)(t.Context(), []lease.Row{row("a/late", 1), row("a/there", 1)}); errs != nil {
				t.Errorf("%v; want none, for both had their versions in the end", errs)
			}
		})
	}
}

func TestOtherErrorsAreNotTriedAgain(t *testing.T) {
	for _, err := range []error{coded(10), coded(11), coded(13), io.ErrUnexpectedEOF} {
		for _, statement := range []string{"PRAGMA main.synchronous", "BEGIN", "UPDATE main.\"runnel_leases_cursor\"", "INSERT", "COMMIT"} {
			t.Run(fmt.Sprintf("%v at %s", err, statement), func(t *testing.T) {
				tp, s, other, _ := tappedStore(t)
				tp.before = once(statement, err)
				errs := s.Put(t.Context(), batch(0))
				if len(errs) != 30 {
					t.Fatalf("%d errors; want one for each row", len(errs))
				}
				for _, e := range errs {
					if !errors.Is(e, err) || errors.Is(e, lease.ErrConflict) || !strings.Contains(e.Error(), "write 30 rows") {
						t.Fatalf("%v; want %v", e, err)
					}
				}
				if v := whole(t, other); v != 0 {
					t.Errorf("version %d is left", v)
				}
				put(t, other, batch(0)...)
				put(t, s, batch(1)...)
			})
		}
	}
}

// Hazard 17: the transaction was committed and the answer was lost. What is known is not that it is a conflict, and the caller who writes again meets its own version.
func TestHazard17ALostAnswerIsNoConflictUntilItIsWrittenAgain(t *testing.T) {
	tp, s, _, _ := tappedStore(t)
	tp.after = once("COMMIT", io.ErrUnexpectedEOF)
	errs := s.Put(t.Context(), []lease.Row{row("a/row", 0)})
	if len(errs) != 1 || !errors.Is(errs[0], io.ErrUnexpectedEOF) || errors.Is(errs[0], lease.ErrConflict) {
		t.Fatalf("%v; want the error of the connection, which says nothing of the row", errs)
	}
	if v := get(t, s, "a/row").Version; v != 1 {
		t.Errorf("version %d; the write was applied", v)
	}
	errs = s.Put(t.Context(), []lease.Row{row("a/row", 0)})
	if len(errs) != 1 || !errors.Is(errs[0], lease.ErrConflict) {
		t.Errorf("%v; want a conflict", errs)
	}
}

// A transaction whose BEGIN was not heard to succeed, or that could not be ended, must not go back to the pool with its connection: it would hold the lock for ever.
func TestNoTransactionIsLeftOpen(t *testing.T) {
	for name, plant := range map[string]func(*tap){
		"the answer of BEGIN is lost": func(tp *tap) { tp.after = once("BEGIN", io.ErrUnexpectedEOF) },
		"ROLLBACK fails": func(tp *tap) {
			tp.before = func(_ driver.ExecerContext, query string) error {
				if strings.HasPrefix(query, "INSERT") || strings.HasPrefix(query, "ROLLBACK") {
					return io.ErrUnexpectedEOF
				}
				return nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			tp, s, other, db := tappedStore(t)
			db.SetMaxOpenConns(1)
			plant(tp)
			if errs := s.Put(t.Context(), batch(0)); len(errs) != 30 {
				t.Fatalf("%v", errs)
			}
			tp.before, tp.after = nil, nil
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			if errs := other.Put(ctx, batch(0)); errs != nil {
				t.Fatalf("another store: %v", errs[0])
			}
			put(t, s, batch(1)...)
		})
	}
}

func TestAContextThatEndsInTheMiddleLeavesNothing(t *testing.T) {
	for _, statement := range []string{"PRAGMA main.synchronous", "BEGIN", "UPDATE main.\"runnel_leases_cursor\"", "INSERT"} {
		t.Run(statement, func(t *testing.T) {
			tp, s, other, _ := tappedStore(t)
			why := errors.New("why")
			ctx, cancel := context.WithCancelCause(t.Context())
			tp.after = func(_ driver.ExecerContext, query string) error {
				if strings.HasPrefix(query, statement) {
					cancel(why)
				}
				return nil
			}
			errs := s.Put(ctx, batch(0))
			if len(errs) != 30 || !errors.Is(errs[29], why) || errors.Is(errs[29], lease.ErrConflict) {
				t.Fatalf("%v; want why the context ended", errs)
			}
			if v := whole(t, other); v != 0 {
				t.Errorf("version %d is left", v)
			}
			put(t, other, batch(0)...)
			put(t, s, batch(1)...)
			begun := !strings.HasPrefix(statement, "PRAGMA") // otherwise it is not known whether a transaction is open, and the connection is closed
			if n := tp.connected.Load(); begun && n != 1 {
				t.Errorf("%d connections; want the same one again, for its transaction was ended", n)
			}
		})
	}
}

// A constraint that somebody added refuses one row: the others are written, whatever the constraint does with the transaction.
func TestARowThatTheDatabaseRefusesHindersNoOther(t *testing.T) {
	for _, action := range []string{"ABORT", "ROLLBACK", "FAIL"} {
		t.Run(action, func(t *testing.T) {
			s, db, file := newStore(t)
			execute(t, db, `CREATE TRIGGER refuse BEFORE INSERT ON runnel_leases WHEN new.name = '7' BEGIN SELECT raise(`+action+`, 'not seven'); END`)
			errs := s.Put(t.Context(), batch(0))
			if len(errs) != 30 {
				t.Fatalf("%v; want an error for the row", errs)
			}
			for i, err := range errs {
				if (i == 7) != (err != nil) || errors.Is(err, lease.ErrConflict) {
					t.Errorf("row %d: %v", i, err)
				}
			}
			if !strings.Contains(errs[7].Error(), "not seven") || !strings.Contains(errs[7].Error(), `"a/7"`) {
				t.Errorf("%v", errs[7])
			}
			if keys := listed(t, s, "a/", ""); len(keys) != 29 || slices.Contains(keys, "a/7") {
				t.Errorf("listed %q; want all but a/7", keys)
			}
			put(t, sqllease.New(open(t, file), nil), row("a/0", 1))
		})
	}
}

func TestARowThatIsTooLargeHindersNoOther(t *testing.T) {
	tp, s, _, _ := tappedStore(t)
	tp.before = once("INSERT", coded(18)) // of the transaction of all
	if errs := s.Put(t.Context(), batch(0)); errs != nil {
		t.Errorf("%v; want each row written by itself", errs)
	}
	tp.before = func(_ driver.ExecerContext, query string) error {
		if strings.HasPrefix(query, "INSERT") {
			return coded(18)
		}
		return nil
	}
	errs := s.Put(t.Context(), []lease.Row{row("b/large", 0), row("a/1", 1)})
	if len(errs) != 2 || !errors.Is(errs[0], coded(18)) || errs[1] != nil {
		t.Errorf("%v; want an error of the large one alone", errs)
	}
}

// What was acknowledged survives a loss of power, whatever the connection is set to, and the setting is left as it was.
func TestACommitIsOnTheDiskWhateverTheConnectionSays(t *testing.T) {
	for level, want := range map[string]string{"0": "2", "1": "2", "2": "2", "3": "3"} {
		tp, s, _, db := tappedStore(t)
		db.SetMaxOpenConns(1)
		execute(t, db, "PRAGMA synchronous = "+level)
		var seen []string
		tp.before = func(conn driver.ExecerContext, query string) error {
			if query == "COMMIT" {
				rows, err := conn.(driver.QueryerContext).QueryContext(t.Context(), "PRAGMA synchronous", nil)
				if err != nil {
					return err
				}
				value := make([]driver.Value, 1)
				err = rows.Next(value)
				seen = append(seen, fmt.Sprint(value[0]))
				return errors.Join(err, rows.Close())
			}
			return nil
		}
		put(t, s, row("a/1", 0))
		if errs := s.Put(t.Context(), []lease.Row{row("a/1", 0)}); errs == nil {
			t.Error("no conflict")
		}
		if !slices.Equal(seen, []string{want}) {
			t.Errorf("level %s: committed at levels %q; want %s", level, seen, want)
		}
		if left := ask[string](t, db, "PRAGMA synchronous"); left != level {
			t.Errorf("level %s: left at %s", level, left)
		}
	}
}

// Also when it is not known whether the connection was raised: a connection is the caller's, who may have reasons to wait for no disk.
func TestAConnectionIsSetBackWhoseRaisingWasNotHeardOf(t *testing.T) {
	for _, level := range []string{"0", "1"} {
		tp, s, _, db := tappedStore(t)
		db.SetMaxOpenConns(1)
		execute(t, db, "PRAGMA synchronous = "+level)
		ctx, cancel := context.WithCancel(t.Context())
		lost := once("PRAGMA main.synchronous = FULL", io.ErrUnexpectedEOF)
		tp.after = func(conn driver.ExecerContext, query string) error {
			err := lost(conn, query)
			if err != nil {
				cancel()
			}
			return err
		}
		if errs := s.Put(ctx, []lease.Row{row("a/1", 0)}); len(errs) != 1 {
			t.Fatalf("%v; want an error", errs)
		}
		if left := ask[string](t, db, "PRAGMA synchronous"); left != level || tp.connected.Load() != 1 {
			t.Errorf("level %s: left at %s, after %d connections", level, left, tp.connected.Load())
		}
	}
}

func TestAPutOfConflictsWritesNothing(t *testing.T) {
	tp, s, _, db := tappedStore(t)
	put(t, s, row("a/row", 0))
	const last = "SELECT last FROM runnel_leases_cursor"
	before := ask[int](t, db, last)
	tp.record()
	if errs := s.Put(t.Context(), []lease.Row{row("a/row", 0)}); errs == nil {
		t.Fatal("no conflict")
	}
	if after := ask[int](t, db, last); after != before || slices.Contains(tp.recorded(), "COMMIT") {
		t.Errorf("the counter went from %d to %d by %q", before, after, tp.recorded())
	}
}

func TestAReadThatFailsSaysSo(t *testing.T) {
	tp, s, _, _ := tappedStore(t)
	put(t, s, batch(0)...)
	tp.before = func(driver.ExecerContext, string) error { return coded(10) }
	if _, err := s.Get(t.Context(), []string{"a/0"}); !errors.Is(err, coded(10)) || !strings.Contains(err.Error(), `read "a/0"`) {
		t.Errorf("Get: %v", err)
	}
	n := 0
	for _, err := range s.List(t.Context(), "a/", "") {
		if n++; !errors.Is(err, coded(10)) || !strings.Contains(err.Error(), `list "a/"`) {
			t.Errorf("List: %v", err)
		}
	}
	if n != 1 {
		t.Errorf("List yields %d times", n)
	}
}

// An answer that breaks off must not pass for a short one: rows that are not listed count as gone.
func TestAnAnswerThatBreaksOffIsAnError(t *testing.T) {
	tp, s, _, _ := tappedStore(t)
	put(t, s, batch(0)...)
	tp.cut = io.ErrUnexpectedEOF
	if _, err := s.Get(t.Context(), []string{"a/0", "a/1"}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Get: %v", err)
	}
	for r, err := range s.List(t.Context(), "a/", "") {
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("List: %v, %v", r, err)
		}
	}
}

func TestErrorsSayWhatFollowsFromThem(t *testing.T) {
	for _, c := range []struct {
		code coded
		is   error
		want string
	}{
		{1, nil, "Setup makes and checks the tables"},
		{3, lease.ErrDenied, "must be able to write"},
		{8, lease.ErrDenied, "must be able to write"},
		{8 | 6<<8, lease.ErrDenied, "must be able to write"},
		{8 | 4<<8, nil, "moved or deleted"},
		{14, nil, "its directory must exist"},
		{23, lease.ErrDenied, "must be able to write"},
		{26, lease.ErrTable, "no SQLite database"},
	} {
		tp, s, _, _ := tappedStore(t)
		tp.before = once("INSERT", c.code)
		errs := s.Put(t.Context(), []lease.Row{row("a/row", 0)})
		if len(errs) != 1 || !errors.Is(errs[0], c.code) || !strings.Contains(errs[0].Error(), c.want) {
			t.Errorf("code %d: %v; want it to say %q", int(c.code), errs, c.want)
			continue
		}
		for _, sentinel := range []error{lease.ErrDenied, lease.ErrTable} {
			if errors.Is(errs[0], sentinel) != (sentinel == c.is) { //nolint:errorlint // the one that is meant
				t.Errorf("code %d: %v", int(c.code), errs)
			}
		}
	}
}
