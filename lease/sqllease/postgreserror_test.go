package sqllease

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/lib/pq"

	"github.com/runnelhq/runnel/lease"
)

func TestSQLStatesOfTwoDrivers(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{&pgconn.PgError{Code: "40001"}, "40001"},
		{&pq.Error{Code: "40P01"}, "40P01"},
		{fmt.Errorf("wrapped: %w", &pgconn.PgError{Code: "25006"}), "25006"},
		{&commitError{&pq.Error{Code: "40001"}}, "40001"},
		{errors.Join(io.EOF, &pq.Error{Code: "42501"}), "42501"},
		{&moderncError{5}, ""},
		{io.EOF, ""},
		{nil, ""},
	} {
		if got := sqlState(c.err); got != c.want {
			t.Errorf("%v: %q; want %q", c.err, got, c.want)
		}
	}
}

// At COMMIT only what says that nothing was kept is tried again.
func TestWhatIsTriedAgainOnPostgreSQL(t *testing.T) {
	for _, c := range []struct {
		err              error
		before, atCommit bool
	}{
		{&pgconn.PgError{Code: "40001"}, true, true},
		{&pq.Error{Code: "40P01"}, true, true},
		{&pgconn.PgError{Code: "55P03"}, true, true},
		{&pgconn.PgError{Code: "57P01"}, true, false},
		{&pgconn.PgError{Code: "57P02"}, true, false},
		{&pgconn.PgError{Code: "57P03"}, true, false},
		{driver.ErrBadConn, true, false},
		{&pgconn.PgError{Code: "57014"}, false, false}, // statement_timeout
		{&pgconn.PgError{Code: "25P03"}, false, false},
		{&pgconn.PgError{Code: "23505"}, false, false},
		{&pgconn.PgError{Code: "25006"}, false, false},
		{io.ErrUnexpectedEOF, false, false},
		{errors.New("plain"), false, false},
	} {
		var e *postgres
		if got := e.transient(c.err); got != c.before {
			t.Errorf("%v: %v; want %v", c.err, got, c.before)
		}
		if got := e.transient(&commitError{c.err}); got != c.atCommit {
			t.Errorf("%v at COMMIT: %v; want %v", c.err, got, c.atCommit)
		}
	}
}

func TestErrorsOfPostgreSQLSayWhatFollowsFromThem(t *testing.T) {
	for _, c := range []struct {
		err  error
		is   error
		want string
	}{
		{&pgconn.PgError{Code: "25006"}, nil, "target_session_attrs=read-write"},
		{&pgconn.PgError{Code: "25P03"}, nil, "stood still"},
		{&pq.Error{Code: "28P01"}, lease.ErrDenied, "28P01"},
		{&pq.Error{Code: "28000"}, lease.ErrDenied, "28000"},
		{&pgconn.PgError{Code: "42501"}, lease.ErrDenied, "grant"},
		{&pgconn.PgError{Code: "42P01"}, nil, "Setup makes and checks the tables"},
		{&pgconn.PgError{Code: "3F000"}, nil, "make the schema"},
		{&commitError{io.ErrUnexpectedEOF}, nil, "read the rows"},
		{io.ErrUnexpectedEOF, nil, "unexpected EOF"},
	} {
		var e *postgres
		got := e.explain(c.err)
		if !errors.Is(got, c.err) || !strings.Contains(got.Error(), c.want) {
			t.Errorf("%v: %v; want it to say %q", c.err, got, c.want)
		}
		for _, sentinel := range []error{lease.ErrDenied, lease.ErrTable, lease.ErrConflict} {
			if errors.Is(got, sentinel) != (sentinel == c.is) { //nolint:errorlint // the one that is meant
				t.Errorf("%v: %v", c.err, got)
			}
		}
	}
}

func TestRowsOfOneKeyComeInRounds(t *testing.T) {
	var rows []lease.Row
	for _, key := range []string{"a", "b", "a", "c", "a", "b"} {
		rows = append(rows, lease.Row{Key: key})
	}
	if got := fmt.Sprint(rounds(rows)); got != "[[0 1 3] [2 5] [4]]" {
		t.Errorf("rounds %s", got)
	}
}
