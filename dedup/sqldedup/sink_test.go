package sqldedup_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/sqldedup"
)

var scopes = []dedup.Scope{dedup.PerShard, dedup.PerKey, dedup.PerID}

// Neighbours of 56 digits are two records, however a database would round them as numbers.
func TestNeighboursOf56DigitsAreTwoRecords(t *testing.T) {
	for _, scope := range scopes {
		s, _ := newSink(t)
		m := mark(scope, 0)
		seal(t, s, m)
		for i, p := range ascending(t) {
			m.Position = p
			calls := 0
			must(t, s.Apply(t.Context(), []dedup.Mark{m}, func(*sql.Tx, []int) error { calls++; return nil }))
			must(t, s.Apply(t.Context(), []dedup.Mark{m}, func(*sql.Tx, []int) error { calls++; return nil }))
			if calls != 1 {
				t.Errorf("position %d, %.60s, in %s: %d calls; want one", i, p, scope, calls)
			}
		}
	}
}

// What others' locks keep from being done, at whatever statement, is done again and once.
func TestWhatOthersCauseIsTriedAgain(t *testing.T) {
	for _, statement := range []string{
		"PRAGMA", "BEGIN", `UPDATE main."runnel_marks_seals" SET epoch = epoch`, `SELECT '', s.epoch`, `INSERT INTO main."runnel_marks_done"`, "RELEASE", "COMMIT",
	} {
		t.Run(statement, func(t *testing.T) {
			file := newFile(t)
			tp, db := tapped(t, file)
			s := sqldedup.New(db, nil)
			must(t, s.Setup(t.Context()))
			execute(t, db, effects)
			seal(t, s, mark(dedup.PerShard, 0))
			tp.set(once(statement, coded(5)), nil)
			apply(t, s, mark(dedup.PerShard, 1))
			if n := count(t, db); n != 1 {
				t.Errorf("%d effects; want one", n)
			}
		})
	}
}

// An error of the connection leaves nothing behind. Only at COMMIT it is not known, and found out.
func TestAFailedCallLeavesNothing(t *testing.T) {
	for _, statement := range []string{"BEGIN", "SAVEPOINT", `SELECT '', s.epoch`, `INSERT INTO main."runnel_marks_done"`, "RELEASE", "COMMIT"} {
		t.Run(statement, func(t *testing.T) {
			file := newFile(t)
			tp, db := tapped(t, file)
			s := sqldedup.New(db, nil)
			must(t, s.Setup(t.Context()))
			execute(t, db, effects)
			m := mark(dedup.PerShard, 1)
			seal(t, s, m)
			tp.set(once(statement, io.ErrUnexpectedEOF), nil)
			err := s.Apply(t.Context(), []dedup.Mark{m}, insert(t.Context(), m))
			if !errors.Is(err, io.ErrUnexpectedEOF) || !errors.Is(err, dedup.ErrUnavailable) || errors.Is(err, dedup.ErrUnsettled) {
				t.Errorf("%v; want ErrUnavailable with the error of the connection", err)
			}
			if n := count(t, db); n != 0 {
				t.Errorf("%d effects are left", n)
			}
			apply(t, s, m)
		})
	}
}

// While the answer of a COMMIT is not known and ctx ends, nobody knows: calling again tells.
func TestWhatCannotBeFoundOutInTimeIsUnsettled(t *testing.T) {
	for _, kept := range []bool{true, false} {
		file := newFile(t)
		tp, db := tapped(t, file)
		s := sqldedup.New(db, nil)
		must(t, s.Setup(t.Context()))
		execute(t, db, effects)
		m := mark(dedup.PerShard, 1)
		seal(t, s, m)
		ctx, cancel := context.WithCancel(t.Context())
		gone := func(query string) error {
			if query == "COMMIT" {
				cancel()
				return io.ErrUnexpectedEOF
			}
			return nil
		}
		if kept {
			tp.set(nil, gone)
		} else {
			tp.set(gone, nil)
		}
		if err := s.Apply(ctx, []dedup.Mark{m}, insert(t.Context(), m)); !errors.Is(err, dedup.ErrUnsettled) || errors.Is(err, dedup.ErrUnavailable) {
			t.Errorf("kept %v: %v; want ErrUnsettled", kept, err)
		}
		tp.set(nil, nil)
		apply(t, s, m)
		if n := count(t, db); n != 1 {
			t.Errorf("kept %v: %d effects; want one", kept, n)
		}
	}
}

// A commit that waits for no answer is not in doubt because its context has ended: it is given the time to answer.
func TestTheEndOfAContextDuringACommitLeavesNoDoubt(t *testing.T) {
	tp, db := tapped(t, newFile(t))
	s := sqldedup.New(db, nil)
	must(t, s.Setup(t.Context()))
	execute(t, db, effects)
	m := mark(dedup.PerShard, 1)
	seal(t, s, m)
	ctx, cancel := context.WithCancel(t.Context())
	tp.set(func(query string) error {
		if query == "COMMIT" {
			cancel()
		}
		return nil
	}, nil)
	if err := s.Apply(ctx, []dedup.Mark{m}, insert(t.Context(), m)); err != nil || count(t, db) != 1 {
		t.Errorf("%v, %d effects; want one and no error", err, count(t, db))
	}
}

// Whatever the driver begins with, the lock for writing is had before anything is read.
func TestTheLockIsHadBeforeAnythingIsRead(t *testing.T) {
	for _, lock := range []string{"deferred", "immediate", "exclusive"} {
		file := newFile(t)
		db := openWith(t, file, url.Values{"_txlock": {lock}})
		s := sqldedup.New(db, nil)
		must(t, s.Setup(t.Context()))
		execute(t, db, effects)
		seal(t, s, mark(dedup.PerShard, 0))
		other := open(t, file)
		m := mark(dedup.PerShard, 1)
		must(t, s.Apply(t.Context(), []dedup.Mark{m}, func(tx *sql.Tx, fresh []int) error {
			if _, err := other.ExecContext(t.Context(), `INSERT INTO effects VALUES (2)`); err == nil {
				t.Errorf("%s: another writes meanwhile", lock)
			}
			return insert(t.Context(), m)(tx, fresh)
		}))
	}
	tp, db := tapped(t, newFile(t))
	s := sqldedup.New(db, nil)
	must(t, s.Setup(t.Context()))
	seal(t, s, mark(dedup.PerShard, 0))
	tp.mu.Lock()
	tp.statements = []string{}
	tp.mu.Unlock()
	must(t, s.Apply(t.Context(), []dedup.Mark{mark(dedup.PerShard, 1)}, func(*sql.Tx, []int) error { return nil }))
	begun := strings.Join(tp.statements, "\n")
	if _, after, _ := strings.Cut(begun, "BEGIN\n"); !strings.HasPrefix(after, "UPDATE") {
		t.Errorf("the transaction does not begin with a write:\n%s", begun)
	}
}

// A file that somebody else writes is waited for until ctx ends, and the error says what for.
func TestABusyFileIsWaitedForWithinTheContext(t *testing.T) {
	file := newFile(t)
	db := open(t, file)
	s := sqldedup.New(db, nil)
	must(t, s.Setup(t.Context()))
	execute(t, db, effects)
	m := mark(dedup.PerShard, 1)
	seal(t, s, m)
	conn, err := open(t, file).Conn(t.Context())
	must(t, err)
	defer func() { must(t, conn.Close()) }()
	hold := func(statement string) {
		_, err := conn.ExecContext(t.Context(), statement)
		must(t, err)
	}
	hold("BEGIN IMMEDIATE")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := s.Apply(ctx, []dedup.Mark{m}, insert(ctx, m)); !errors.Is(err, dedup.ErrUnavailable) || !strings.Contains(err.Error(), "another connection holds the lock") {
		t.Errorf("%v; want ErrUnavailable that says who has the lock", err)
	}
	applied := make(chan error, 1)
	go func() { applied <- s.Apply(t.Context(), []dedup.Mark{m}, insert(t.Context(), m)) }()
	hold("ROLLBACK")
	if err := <-applied; err != nil || count(t, db) != 1 {
		t.Errorf("%v, %d effects; want one and no error", err, count(t, db))
	}
}

// Sinks of several processes write one file in turn.
func TestSeveralWritersOfOneFile(t *testing.T) {
	file := newFile(t)
	direct := open(t, file)
	must(t, sqldedup.New(direct, nil).Setup(t.Context()))
	execute(t, direct, effects)
	const writers, records = 4, 25
	var all sync.WaitGroup
	for w := range uint64(writers) {
		s := sqldedup.New(open(t, file), nil)
		m := mark(dedup.PerShard, 0)
		m.Shard = fmt.Sprint("shard ", w)
		all.Go(func() {
			if _, err := s.Seal(t.Context(), start(m)); err != nil {
				t.Error(err)
			}
			for n := range uint64(records) {
				m.Position = checkpoint.Offset(w*1000 + n + 1)
				if err := s.Apply(t.Context(), []dedup.Mark{m}, insert(t.Context(), m)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := count(t, direct); n != writers*records {
		t.Errorf("%d effects; want %d", n, writers*records)
	}
}

// A call that knows its marks to be fresh, by what it has read, is told by the write if they are not any more.
func TestLongNamesAreToldApart(t *testing.T) {
	begin := strings.Repeat("k", 600)
	s, db := newSink(t)
	seal(t, s, mark(dedup.PerKey, 0))
	for i, name := range []string{begin + "1", begin + "2", begin[:511], begin[:510]} {
		m := key(mark(dedup.PerKey, uint64(i+1)), name) //nolint:gosec // small
		apply(t, s, m)
		apply(t, s, m)
	}
	m := mark(dedup.PerShard, 9)
	m.Shard, m.App, m.Stream = begin, begin, begin
	seal(t, s, m)
	apply(t, s, m)
	if n := count(t, db); n != 5 {
		t.Errorf("%d effects; want 5", n)
	}
}

// Marks of records in no order go when they are past their time, but for the dead.
func TestMarksGoWhenTheirTimeIsOver(t *testing.T) {
	db := open(t, newFile(t))
	s := sqldedup.New(db, &sqldedup.Config{TTL: time.Hour})
	must(t, s.Setup(t.Context()))
	execute(t, db, effects)
	for n := range uint64(5) {
		apply(t, s, mark(dedup.PerID, n))
	}
	must(t, s.Bury(t.Context(), []dedup.Mark{mark(dedup.PerID, 5)}))
	execute(t, db, `UPDATE runnel_marks_ids SET at = at - 3599000000`)
	apply(t, s, mark(dedup.PerID, 6))
	if n := ask[int](t, db, `SELECT count(*) FROM runnel_marks_ids`); n != 7 {
		t.Errorf("%d marks before their time is over; want 7", n)
	}
	execute(t, db, `UPDATE runnel_marks_ids SET at = at - 2000000`)
	apply(t, s, mark(dedup.PerID, 7))
	if n := ask[int](t, db, `SELECT count(*) FROM runnel_marks_ids`); n != 6 {
		t.Errorf("%d marks when two were removed; want 6", n)
	}
	apply(t, s, mark(dedup.PerID, 8), mark(dedup.PerID, 9), mark(dedup.PerID, 10))
	if n := ask[int](t, db, `SELECT count(*) FROM runnel_marks_ids`); n != 6 {
		t.Errorf("%d marks; want the 5 of the last hour and the dead one", n)
	}
	if got := s.Terms().TTL; got != time.Hour {
		t.Errorf("Terms say %v", got)
	}
	letter := mark(dedup.PerID, 5)
	letter.Redrive = true
	apply(t, s, letter)
}

// A row that somebody broke is an error that names its column, and nothing is done.
func TestABrokenRowIsAnErrorThatNamesIt(t *testing.T) {
	for column, change := range map[string]string{"session": `UPDATE runnel_marks_seals SET session = '%'`, "position": `UPDATE runnel_marks_done SET position = 'x'`} {
		s, db := newSink(t)
		m := mark(dedup.PerShard, 1)
		seal(t, s, m)
		execute(t, db, change)
		for what, err := range map[string]error{"Apply": s.Apply(t.Context(), []dedup.Mark{m}, insert(t.Context(), m)), "Advance": s.Advance(t.Context(), m)} {
			if !errors.Is(err, dedup.ErrUnavailable) || !strings.Contains(err.Error(), "column "+column) {
				t.Errorf("%s: %v; want ErrUnavailable that names the column %s", what, err, column)
			}
		}
		if n := count(t, db); n != 0 {
			t.Errorf("%d effects", n)
		}
	}
}

// A session and names may have any bytes.
func TestNamesMayBeAnyBytes(t *testing.T) {
	s, db := newSink(t)
	m := mark(dedup.PerKey, 1)
	m.App, m.Stream, m.Shard, m.Session, m.Key = "a b\x00%", "s\xff", "\x00", "é\xff\x00% s", "\xff\x00"
	seal(t, s, m)
	apply(t, s, m)
	apply(t, s, m)
	other := m
	other.Session = "é\xff\x00% S"
	if err := s.Apply(t.Context(), []dedup.Mark{other}, nil); !errors.Is(err, dedup.ErrFenced) {
		t.Errorf("%v; want ErrFenced", err)
	}
	if n := count(t, db); n != 1 {
		t.Errorf("%d effects; want one", n)
	}
}

// Who outlasts its deadline is to blame, and who is called off is not.
func TestTheEndOfTheContextOfAFunction(t *testing.T) {
	s, db := newSink(t)
	m := mark(dedup.PerShard, 1)
	seal(t, s, m)
	errLate := errors.New("late")
	for _, says := range []error{nil, errLate, sql.ErrTxDone} {
		ctx, cancel := context.WithCancel(t.Context())
		err := s.Apply(ctx, []dedup.Mark{m}, func(tx *sql.Tx, fresh []int) error {
			must(t, insert(t.Context(), m)(tx, fresh))
			cancel()
			return says
		})
		if _, back := errors.AsType[*dedup.RolledBackError](err); back || !errors.Is(err, dedup.ErrUnavailable) || !errors.Is(err, context.Canceled) {
			t.Errorf("called off, and %v: %v; want ErrUnavailable", says, err)
		}
		ctx, cancel = context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errLate)
		err = s.Apply(ctx, []dedup.Mark{m}, func(tx *sql.Tx, fresh []int) error {
			must(t, insert(t.Context(), m)(tx, fresh))
			<-ctx.Done()
			return says
		})
		cancel()
		if _, back := errors.AsType[*dedup.RolledBackError](err); !back {
			t.Errorf("out of time, and %v: %v; want a RolledBackError", says, err)
		}
	}
	if n := count(t, db); n != 0 {
		t.Errorf("%d effects; want none", n)
	}
}

// While the answer of a COMMIT is lost another seals. Whatever became of the effects, their owner is told that it is none any more.
func TestWhoIsSucceededWhileItsCommitIsInDoubtIsFenced(t *testing.T) {
	for _, scope := range []dedup.Scope{dedup.PerShard, dedup.PerKey} {
		for _, kept := range []bool{true, false} {
			tp, db := tapped(t, newFile(t))
			s := sqldedup.New(db, nil)
			must(t, s.Setup(t.Context()))
			execute(t, db, effects)
			m := mark(scope, 1)
			seal(t, s, m)
			lost := once("COMMIT", &lostError{func() {
				tp.set(nil, nil)
				seal(t, sqldedup.New(db, nil), next(m))
			}})
			if kept {
				tp.set(nil, lost)
			} else {
				tp.set(lost, nil)
			}
			if err := s.Apply(t.Context(), []dedup.Mark{m}, insert(t.Context(), m)); !errors.Is(err, dedup.ErrFenced) {
				t.Errorf("%s, kept %v: %v; want ErrFenced", scope, kept, err)
			}
		}
	}
}
