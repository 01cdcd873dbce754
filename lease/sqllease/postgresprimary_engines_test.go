//go:build engines

package sqllease_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/sqllease"
	"github.com/runnelhq/runnel/localstack"
)

// wantNotPrimary wants every call refused, and no conflict made of it.
func wantNotPrimary(t *testing.T, s *sqllease.Store, want string) {
	t.Helper()
	check := func(what string, err error) {
		t.Helper()
		if err == nil || errors.Is(err, lease.ErrConflict) || errors.Is(err, lease.ErrDenied) || errors.Is(err, lease.ErrTable) ||
			!strings.Contains(err.Error(), "leases need the primary") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want it to say that leases need the primary, for it is %s", what, err, want)
		}
	}
	check("Setup", s.Setup(t.Context()))
	_, err := s.Get(t.Context(), []string{"a/row"})
	check("Get", err)
	err = nil
	for _, err = range s.List(t.Context(), "a/", "") {
	}
	check("List", err)
	for _, err = range s.List(t.Context(), "a/", "1") {
	}
	check("List by cursor", err)
	want = "read-only"
	for _, err := range s.Put(t.Context(), []lease.Row{row("a/row", 1), row("a/new", 0)}) {
		check("Put", err)
	}
	for _, err := range s.Delete(t.Context(), []lease.Row{row("a/row", 1)}) {
		check("Delete", err)
	}
}

func TestAServerThatIsSetToReadOnlyIsRefused(t *testing.T) {
	one, _, table := newServed(t)
	put(t, one, row("a/row", 0))
	s := onServer(openServer(t, "pgx", serverURL(t, "default_transaction_read_only=on")), table)
	wantNotPrimary(t, s, "read only")
	if v := get(t, one, "a/row").Version; v != 1 {
		t.Errorf("version %d", v)
	}
}

func TestAStandbyIsRefusedUntilItIsPromoted(t *testing.T) {
	primary, err := server()
	if err != nil {
		t.Fatal(err)
	}
	one, db, table := newServed(t)
	put(t, one, row("a/row", 0))
	standby, err := primary.Standby(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer closing(t, standby)
	s := onServer(openServer(t, "pgx", standby.URL), table)
	wantNotPrimary(t, s, "a standby")
	// It is behind: what the primary acknowledges now need not be there after the fail-over.
	at := ask[string](t, db, "SELECT pg_current_wal_flush_lsn()::text")
	followed := onServerOf(t, standby, "SELECT pg_last_wal_replay_lsn() >= '"+at+"'")
	for ctx := within(t, time.Minute); !followed(); {
		if err := backoff.Wait(ctx, 20*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	if !onServerOf(t, standby, "SELECT pg_promote()")() {
		t.Fatal("not promoted")
	}
	if err := s.Setup(t.Context()); err != nil {
		t.Errorf("Setup after the promotion: %v", err)
	}
	put(t, s, row("a/row", 1))
	if v := get(t, s, "a/row").Version; v != 2 {
		t.Errorf("version %d; want 2", v)
	}
}

func closing(t *testing.T, p *localstack.Postgres) {
	t.Helper()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

func onServerOf(t *testing.T, p *localstack.Postgres, query string) func() bool {
	db := openServer(t, "pgx", p.URL)
	return func() bool { return ask[bool](t, db, query) }
}
