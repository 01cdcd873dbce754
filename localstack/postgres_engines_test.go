//go:build engines

package localstack

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/runnelhq/runnel/internal/backoff"
)

func startPostgres(t *testing.T) *Postgres {
	t.Helper()
	t.Setenv("RUNNEL_POSTGRES", "")
	p, err := StartPostgres(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// visible is temporary for another user, too.
func visible(t *testing.T) string {
	t.Helper()
	dir := temporary(t)
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// answers is the value that a server has for a query.
func answers(t *testing.T, address, query string) (value string) {
	t.Helper()
	db, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.QueryRowContext(t.Context(), query).Scan(&value); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return value
}

func TestPostgresServesAndLeavesNothingBehind(t *testing.T) {
	dir := visible(t)
	p := startPostgres(t)
	for query, want := range map[string]string{
		"SELECT current_user":          "postgres",
		"SELECT getdatabaseencoding()": "UTF8",
		"SHOW fsync":                   "on",
		"SHOW synchronous_commit":      "on",
		"SELECT count(*)::text FROM pg_hba_file_rules WHERE auth_method = 'trust'": "0",
	} {
		if got := answers(t, p.URL, query); got != want {
			t.Errorf("%s: %s; want %s", query, got, want)
		}
	}
	onLoopbackAlone(t, p.URL)
	if got := mentioning(t, dir); len(got) == 0 {
		t.Error("nothing runs")
	}
	lines := strings.Split(read(t, filepath.Join(p.part.folder, "data", "postmaster.pid")), "\n")
	segment := strings.Fields(lines[6])[1]
	if !slices.Contains(segments(t), segment) {
		t.Fatalf("the system has no segment %s", segment)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if slices.Contains(segments(t), segment) {
		t.Errorf("shared memory of the system is left: segment %s", segment)
	}
	if got := mentioning(t, dir); len(got) != 0 {
		t.Errorf("left behind: %q", got)
	}
	empty(t, dir)
}

// segments are the system's of shared memory, by Linux's /proc.
func segments(t *testing.T) (ids []string) {
	t.Helper()
	for line := range strings.Lines(read(t, "/proc/sysvipc/shm")) {
		ids = append(ids, strings.Fields(line)[1])
	}
	return ids
}

func TestPostgresIsKilledIfItDoesNotEnd(t *testing.T) {
	dir := visible(t)
	p := startPostgres(t)
	if err := syscall.Kill(p.postmaster(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if got := mentioning(t, dir); len(got) != 0 {
		t.Errorf("left behind: %q", got)
	}
	empty(t, dir)
}

func TestAStandbyFollowsUntilItIsPromoted(t *testing.T) {
	p := startPostgres(t)
	s, err := p.Standby(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	if got := answers(t, s.URL, "SELECT pg_is_in_recovery()::text"); got != "true" {
		t.Errorf("in recovery: %s", got)
	}
	at := answers(t, p.URL, "WITH made AS (SELECT pg_logical_emit_message(true, 'made', 'x')) SELECT pg_current_wal_insert_lsn()::text FROM made")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for answers(t, s.URL, "SELECT (pg_last_wal_replay_lsn() >= '"+at+"')::text") != "true" {
		if err := backoff.Wait(ctx, 20*time.Millisecond); err != nil {
			t.Fatalf("it does not follow: %v", err)
		}
	}
	if got := answers(t, s.URL, "SELECT pg_promote()::text"); got != "true" {
		t.Errorf("promoted: %s", got)
	}
	if got := answers(t, s.URL, "SHOW transaction_read_only"); got != "off" {
		t.Errorf("read only: %s", got)
	}
}

func TestAServerThatIsThereIsUsedAndLeft(t *testing.T) {
	p := startPostgres(t)
	t.Setenv("RUNNEL_POSTGRES", p.URL)
	there, err := StartPostgres(t.Context(), Options{})
	if err != nil || there.URL != p.URL {
		t.Fatalf("%v, %v", there, err)
	}
	if _, err := there.Standby(t.Context()); err == nil {
		t.Error("it has a standby")
	}
	if err := there.Close(); err != nil {
		t.Error(err)
	}
	answers(t, p.URL, "SELECT 'still there'")
}

func TestAnEndedStartOfPostgresLeavesNothingBehind(t *testing.T) {
	t.Setenv("RUNNEL_POSTGRES", "")
	dir := visible(t)
	if _, err := StartPostgres(t.Context(), Options{Timeout: 200 * time.Millisecond}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if got := mentioning(t, dir); len(got) != 0 {
		t.Errorf("left behind: %q", got)
	}
	empty(t, dir)
}
