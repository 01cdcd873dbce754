package sqldedup_test

import (
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/sqldedup"
)

func TestTablesOfAnotherShapeAreRefused(t *testing.T) {
	for _, c := range []struct{ change, want string }{
		{"ALTER TABLE runnel_marks_done DROP COLUMN sort", `"runnel_marks_done" has no column sort`},
		{"ALTER TABLE runnel_marks_seals ADD COLUMN own TEXT NOT NULL DEFAULT ''; ALTER TABLE runnel_marks_seals DROP COLUMN session", `"runnel_marks_seals" has no column session`},
		{"DROP INDEX runnel_marks_ids_at; CREATE INDEX runnel_marks_ids_at ON runnel_marks_ids (generation)", "want (at BINARY)"},
		{"CREATE UNIQUE INDEX own ON runnel_marks_done (lane)", `index "own"`},
		{"DROP TABLE runnel_marks_dead; CREATE VIEW runnel_marks_dead AS SELECT 1", "a view"},
		{"DROP TABLE runnel_marks_ids; CREATE TABLE runnel_marks_ids (id BLOB NOT NULL, generation INTEGER NOT NULL, dead INTEGER NOT NULL, at INTEGER NOT NULL) STRICT", "the primary key of"},
	} {
		t.Run(c.change, func(t *testing.T) {
			s, db := newSink(t)
			execute(t, db, c.change)
			if err := s.Setup(t.Context()); !errors.Is(err, sqldedup.ErrTable) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want ErrTable that says %s", err, c.want)
			}
		})
	}
}

func TestTablesThatMustExistAreNotMade(t *testing.T) {
	db := open(t, newFile(t), "journal_mode(wal)")
	s := sqldedup.New(db, &sqldedup.Config{MustExist: true})
	if err := s.Setup(t.Context()); err == nil || !strings.Contains(err.Error(), "forbids to make it") {
		t.Errorf("%v; want an error that says so", err)
	}
	execute(t, db, s.Schema())
	must(t, s.Setup(t.Context()))
}

func TestWhatCannotWorkIsRefusedAtOnce(t *testing.T) {
	db := open(t, newFile(t))
	for want, s := range map[string]*sqldedup.Sink{
		"needs a database": sqldedup.New(nil, nil),
		"Dialect":          sqldedup.New(db, &sqldedup.Config{Dialect: "mysql"}),
		"Table":            sqldedup.New(db, &sqldedup.Config{Table: "a b"}),
		"no digit":         sqldedup.New(db, &sqldedup.Config{Dialect: sqldedup.PostgreSQL, Table: "a.b.c"}),
		"TTL":              sqldedup.New(db, &sqldedup.Config{TTL: -1}),
		"Idle is 1ms":      sqldedup.New(db, &sqldedup.Config{Idle: time.Millisecond}),
	} {
		if err := s.Setup(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want it to say %q", err, want)
		}
	}
}

func TestADatabaseThatCannotHoldMarksIsRefused(t *testing.T) {
	memory, err := sql.Open("sqlite", ":memory:")
	must(t, err)
	defer func() { must(t, memory.Close()) }()
	if err := sqldedup.New(memory, nil).Setup(t.Context()); !errors.Is(err, sqldedup.ErrTable) || !strings.Contains(err.Error(), "memdedup") {
		t.Errorf("%v; want ErrTable that says to use memdedup", err)
	}
	file := newFile(t)
	must(t, sqldedup.New(open(t, file), nil).Setup(t.Context()))
	readOnly := sqldedup.New(open(t, file, "query_only(1)"), nil)
	if _, err := readOnly.Seal(t.Context(), mark(dedup.PerShard, 0)); !errors.Is(err, sqldedup.ErrDenied) || !errors.Is(err, dedup.ErrUnavailable) {
		t.Errorf("%v; want ErrDenied and ErrUnavailable", err)
	}
}
