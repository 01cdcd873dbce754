package sqllease_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/sqllease"
)

// lock has another connection take the lock for writing, until release is called.
func lock(t *testing.T, db *sql.DB) (release func()) {
	t.Helper()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{"BEGIN IMMEDIATE", "CREATE TABLE held (x)"} {
		if _, err := conn.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		t.Helper()
		if _, err := conn.ExecContext(t.Context(), "ROLLBACK"); err != nil {
			t.Error(err)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestWritesWaitForTheLock(t *testing.T) {
	s, _, file := newStore(t)
	put(t, s, row("a/gone", 0))
	other := open(t, file)
	release := lock(t, other)
	answers := make(chan []error, 4)
	go func() { answers <- s.Put(t.Context(), []lease.Row{row("a/1", 0)}) }()
	go func() { answers <- s.Put(t.Context(), []lease.Row{row("a/2", 0), row("a/3", 0)}) }()
	go func() { answers <- s.Delete(t.Context(), []lease.Row{row("a/gone", 1)}) }()
	go func() { answers <- []error{s.Setup(t.Context())} }()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	select {
	case errs := <-answers:
		t.Fatalf("an answer while another connection holds the lock: %v", errs)
	case <-ctx.Done():
	}
	if keys := listed(t, s, "a/", ""); len(keys) != 1 {
		t.Errorf("meanwhile the listing has %q; want what was committed", keys)
	}
	release()
	for range cap(answers) {
		if err := errors.Join(<-answers...); err != nil {
			t.Error(err)
		}
	}
	if keys := listed(t, s, "a/", ""); len(keys) != 3 {
		t.Errorf("listed %q; want the three that were written", keys)
	}
}

func TestAWaitForTheLockEndsWithItsContext(t *testing.T) {
	s, _, file := newStore(t)
	put(t, s, row("a/row", 0))
	release := lock(t, open(t, file))
	defer release()
	why := errors.New("why")
	for what, write := range map[string]func(context.Context) []error{
		"write":  func(ctx context.Context) []error { return s.Put(ctx, []lease.Row{row("a/row", 1)}) },
		"delete": func(ctx context.Context) []error { return s.Delete(ctx, []lease.Row{row("a/row", 1)}) },
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		timer := time.AfterFunc(100*time.Millisecond, func() { cancel(why) })
		begun := time.Now()
		errs := write(ctx)
		if len(errs) != 1 || errs[0] == nil || errors.Is(errs[0], lease.ErrConflict) {
			t.Fatalf("%s: %v", what, errs)
		}
		for _, want := range []string{why.Error(), `"a/row"`, what, "another connection holds the lock", "database is locked"} {
			if !strings.Contains(errs[0].Error(), want) {
				t.Errorf("%v; want it to say %q", errs[0], want)
			}
		}
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
		timer.Stop()
		cancel(nil)
	}
}

// A driver that waits by itself ends the last wait with the error of the context, and what it waited for is still said.
func TestALockIsNamedThoughTheDriverWaitsToo(t *testing.T) {
	_, _, file := newStore(t)
	release := lock(t, open(t, file))
	defer release()
	s := sqllease.New(open(t, file, "busy_timeout(60)"), nil)
	ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	errs := s.Put(ctx, []lease.Row{row("a/row", 0)})
	if len(errs) != 1 || !errors.Is(errs[0], context.DeadlineExceeded) || !strings.Contains(errs[0].Error(), "another connection holds the lock") {
		t.Errorf("%v", errs)
	}
}

// Writes of one store wait for each other inside of it, and do not take a connection each for that.
func TestAStoreHasOneWriteUnderWay(t *testing.T) {
	file := newFile(t)
	tp, db := tapped(t, file)
	s := sqllease.New(db, nil)
	if err := s.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	release := lock(t, open(t, file))
	begun := make(chan struct{}, 1)
	tp.before = func(_ driver.ExecerContext, query string) error {
		if strings.HasPrefix(query, "BEGIN") {
			select {
			case begun <- struct{}{}:
			default:
			}
		}
		return nil
	}
	var wg sync.WaitGroup
	errs := make([][]error, 20)
	for i := range errs {
		wg.Go(func() { errs[i] = s.Put(t.Context(), []lease.Row{row(fmt.Sprintf("a/%d", i), 0)}) })
	}
	<-begun
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	late := s.Put(ctx, []lease.Row{row("a/late", 0)})
	if len(late) != 1 || !errors.Is(late[0], context.DeadlineExceeded) || !strings.Contains(late[0].Error(), "another write of this store") {
		t.Errorf("a write that waits for others: %v", late)
	}
	release()
	wg.Wait()
	for _, e := range errs {
		if e != nil {
			t.Error(e)
		}
	}
	if n := tp.connected.Load(); n != 1 {
		t.Errorf("%d connections were made for writes that wait for each other", n)
	}
}
