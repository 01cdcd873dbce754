package sqlletters_test

import (
	"database/sql"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/runnelhq/runnel/deadletter/sqlletters"
)

func TestTheSchemaIsWhatSetupMakes(t *testing.T) {
	const texts = `SELECT group_concat(sql, ';') FROM (SELECT sql FROM sqlite_schema ORDER BY name)`
	_, made := newStore(t, newFile(t))
	db := open(t, newFile(t), "journal_mode(WAL)")
	s := sqlletters.New(db, &sqlletters.Config{MustExist: true})
	execute(t, db, s.Schema())
	must(t, s.Setup(t.Context()))
	if got, want := ask[string](t, db, texts), ask[string](t, made, texts); got != want {
		t.Errorf("Schema makes\n%s\nand Setup\n%s", got, want)
	}
}

func TestManySetUpOneFile(t *testing.T) {
	file := newFile(t)
	var all sync.WaitGroup
	for range 8 {
		db := open(t, file)
		all.Go(func() {
			if err := sqlletters.New(db, nil).Setup(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestWhatIsMissingIsNamedAndMade(t *testing.T) {
	for name, remove := range map[string]string{
		`table "runnel_letters"`:                "DROP TABLE runnel_letters",
		`table "runnel_letters_keys"`:           "DROP TABLE runnel_letters_keys",
		`the unique index "runnel_letters_id"`:  "DROP INDEX runnel_letters_id",
		`index "runnel_letters_order" does not`: "DROP INDEX runnel_letters_order",
	} {
		t.Run(name, func(t *testing.T) {
			s, db := newStore(t, newFile(t))
			execute(t, db, remove)
			err := sqlletters.New(db, &sqlletters.Config{MustExist: true}).Setup(t.Context())
			if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "MustExist") {
				t.Errorf("%v; want it to name what is missing", err)
			}
			must(t, s.Setup(t.Context()))
			must(t, s.Put(t.Context(), one("a", 1)))
		})
	}
}

func TestTablesOfAnotherShapeAreRefused(t *testing.T) {
	for _, c := range []struct{ change, want string }{
		{"ALTER TABLE runnel_letters DROP COLUMN payload", `"runnel_letters" has no column payload`},
		{"ALTER TABLE runnel_letters_keys ADD COLUMN own TEXT NOT NULL DEFAULT ''; ALTER TABLE runnel_letters_keys DROP COLUMN until", `"runnel_letters_keys" has no column until`},
		{"DROP INDEX runnel_letters_id; CREATE UNIQUE INDEX runnel_letters_id ON runnel_letters (place)", `want (id BINARY)`},
		{"DROP INDEX runnel_letters_id; CREATE INDEX runnel_letters_id ON runnel_letters (id)", "cannot be made"},
		{"DROP INDEX runnel_letters_order; CREATE INDEX runnel_letters_order ON runnel_letters (place, seq)", `want (scope BINARY, place BINARY, seq BINARY)`},
		{"CREATE UNIQUE INDEX own ON runnel_letters (place)", `index "own"`},
		{"DROP TABLE runnel_letters_keys; CREATE VIEW runnel_letters_keys AS SELECT 1", "a view"},
	} {
		t.Run(c.change, func(t *testing.T) {
			s, db := newStore(t, newFile(t))
			execute(t, db, c.change)
			if err := s.Setup(t.Context()); !errors.Is(err, sqlletters.ErrTable) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want ErrTable that says %s", err, c.want)
			}
		})
	}
}

func TestWhatCannotWorkIsRefusedAtOnce(t *testing.T) {
	db := open(t, newFile(t))
	for want, s := range map[string]*sqlletters.Store{
		"needs a database": sqlletters.New(nil, nil),
		"Dialect":          sqlletters.New(db, &sqlletters.Config{Dialect: "mysql"}),
		"Table":            sqlletters.New(db, &sqlletters.Config{Table: "a b"}),
		"no digit":         sqlletters.New(db, &sqlletters.Config{Dialect: sqlletters.PostgreSQL, Table: "a.b.c"}),
	} {
		if err := s.Setup(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want it to say %q", err, want)
		}
	}
}

func TestADatabaseThatCannotHoldLettersIsRefused(t *testing.T) {
	memory, err := sql.Open("sqlite", ":memory:")
	must(t, err)
	defer func() { must(t, memory.Close()) }()
	if err := sqlletters.New(memory, nil).Setup(t.Context()); !errors.Is(err, sqlletters.ErrTable) || !strings.Contains(err.Error(), "memletters") {
		t.Errorf("%v; want ErrTable that says to use memletters", err)
	}
	file := newFile(t)
	newStore(t, file)
	readOnly := sqlletters.New(open(t, file, "query_only(1)"), nil)
	if err := readOnly.Put(t.Context(), one("a", 1)); !errors.Is(err, sqlletters.ErrDenied) {
		t.Errorf("%v; want ErrDenied", err)
	}
}
