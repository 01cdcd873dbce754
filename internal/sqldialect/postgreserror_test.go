package sqldialect

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/lib/pq"
)

func TestSQLStatesOfTwoDrivers(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{&pgconn.PgError{Code: "40001"}, "40001"},
		{&pq.Error{Code: "40P01"}, "40P01"},
		{fmt.Errorf("wrapped: %w", &pgconn.PgError{Code: "25006"}), "25006"},
		{&CommitError{&pq.Error{Code: "40001"}}, "40001"},
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
		var d PostgreSQL
		if got := d.Transient(c.err); got != c.before {
			t.Errorf("%v: %v; want %v", c.err, got, c.before)
		}
		if got := d.Transient(&CommitError{c.err}); got != c.atCommit {
			t.Errorf("%v at COMMIT: %v; want %v", c.err, got, c.atCommit)
		}
	}
}

var (
	errTable  = errors.New("table")
	errDenied = errors.New("denied")
)

func TestErrorsOfPostgreSQLSayWhatFollowsFromThem(t *testing.T) {
	keeper := PostgreSQL{Keeper: Keeper{Keeps: "leases", Unsure: "read the rows", Table: errTable, Denied: errDenied}}
	for _, c := range []struct {
		err  error
		is   error
		want string
	}{
		{&pgconn.PgError{Code: "25006"}, nil, "target_session_attrs=read-write"},
		{&pgconn.PgError{Code: "25P03"}, nil, "stood still"},
		{&pq.Error{Code: "28P01"}, errDenied, "28P01"},
		{&pq.Error{Code: "28000"}, errDenied, "28000"},
		{&pgconn.PgError{Code: "42501"}, errDenied, "grant"},
		{&pgconn.PgError{Code: "42P01"}, nil, "Setup makes and checks the tables"},
		{&pgconn.PgError{Code: "3F000"}, nil, "make the schema"},
		{&CommitError{io.ErrUnexpectedEOF}, nil, "read the rows"},
		{io.ErrUnexpectedEOF, nil, "unexpected EOF"},
	} {
		got := keeper.Explain(c.err)
		if !errors.Is(got, c.err) || !strings.Contains(got.Error(), c.want) {
			t.Errorf("%v: %v; want it to say %q", c.err, got, c.want)
		}
		for _, sentinel := range []error{errDenied, errTable} {
			if errors.Is(got, sentinel) != (sentinel == c.is) { //nolint:errorlint // the one that is meant
				t.Errorf("%v: %v", c.err, got)
			}
		}
	}
}

func TestWhatAilsPostgreSQL(t *testing.T) {
	for code, ails := range map[string]bool{"08006": true, "28P01": true, "42501": true, "25006": true, "53100": true, "57P01": true, "58030": true, "XX000": true, "23505": false, "22001": false, "P0001": false, "XY001": false, "25P03": false, "40001": false} {
		err := &CommitError{&pgconn.PgError{Code: code}}
		var d PostgreSQL
		if !d.Answered(err) || d.Ails(err) != ails {
			t.Errorf("%s: answered %v, ails %v; want an answer and %v", code, d.Answered(err), d.Ails(err), ails)
		}
	}
	if (PostgreSQL{}).Answered(io.ErrUnexpectedEOF) {
		t.Error("the end of a connection is taken for an answer")
	}
}
