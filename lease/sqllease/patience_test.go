package sqllease_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/sqllease"
)

// lockedDatabase is a driver of a database that is always locked.
type lockedDatabase struct{ attempts int }

func (d *lockedDatabase) Connect(context.Context) (driver.Conn, error) {
	return &lockedConn{db: d}, nil
}

func (*lockedDatabase) Driver() driver.Driver { return nil }

type lockedConn struct {
	driver.Conn
	db *lockedDatabase
}

func (c *lockedConn) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	c.db.attempts++
	return nil, coded(5)
}

func (*lockedConn) Close() error { return nil }

// The waits between attempts grow, and the last ends with its context.
func TestAttemptsBackOffUntilTheContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		locked := &lockedDatabase{}
		db := sql.OpenDB(locked)
		defer func() { _ = db.Close() }()
		s := sqllease.New(db, nil)
		for what, call := range map[string]func(context.Context) error{
			"Put":   func(ctx context.Context) error { return errors.Join(s.Put(ctx, []lease.Row{row("a/row", 0)})...) },
			"Get":   func(ctx context.Context) error { _, err := s.Get(ctx, []string{"a/row"}); return err },
			"Setup": s.Setup,
		} {
			locked.attempts = 0
			begun := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			err := call(ctx)
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, coded(5)) {
				t.Errorf("%s: %v", what, err)
			}
			if took := time.Since(begun); took != 10*time.Second {
				t.Errorf("%s took %v; want until its context ended", what, took)
			}
			if n := locked.attempts; n < 100 || n > 1000 { // 200 at 50 ms each, when the waits have grown
				t.Errorf("%s: %d attempts in 10 s", what, n)
			}
		}
	})
}
