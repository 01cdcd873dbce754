package sqldedup_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/sqldedup"
)

// endings are ways to end a transaction that is not one's own, and whether what was done until then is kept.
var endings = map[string]struct {
	end  func(ctx context.Context, tx *sql.Tx) error
	kept bool
}{
	"Commit":                 {func(_ context.Context, tx *sql.Tx) error { return tx.Commit() }, true},
	"Rollback":               {func(_ context.Context, tx *sql.Tx) error { return tx.Rollback() }, false},
	"a COMMIT":               {statement("COMMIT"), true},
	"a ROLLBACK":             {statement("ROLLBACK"), false},
	"a COMMIT and a BEGIN":   {statement("COMMIT; BEGIN"), true},
	"a ROLLBACK and a BEGIN": {statement("ROLLBACK; BEGIN"), false},
}

func statement(text string) func(ctx context.Context, tx *sql.Tx) error {
	return func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, text)
		return err
	}
}

// Who ends the transaction that he was given is told so. What he committed has its marks with it, so that it is not done again.
func endsItsTransaction(t *testing.T, open func(t *testing.T) (*sqldedup.Sink, *sql.DB)) {
	t.Helper()
	errOwn := errors.New("and fails")
	for name, by := range endings {
		for _, scope := range scopes {
			for _, fails := range []error{nil, errOwn} {
				what := name + ", " + scope.String()
				if fails != nil {
					what += ", and an error"
				}
				t.Run(what, func(t *testing.T) {
					s, db := open(t)
					m := mark(scope, 1)
					seal(t, s, m)
					err := s.Apply(t.Context(), []dedup.Mark{m}, func(tx *sql.Tx, fresh []int) error {
						must(t, insert(t.Context(), m)(tx, fresh))
						must(t, by.end(t.Context(), tx))
						return fails
					})
					_, rolledBack := errors.AsType[*dedup.RolledBackError](err)
					switch {
					case by.kept && (!errors.Is(err, dedup.ErrUnsettled) || !errors.Is(err, sqldedup.ErrEnded)):
						t.Errorf("%v; want ErrUnsettled and ErrEnded", err)
					case !by.kept && (!rolledBack || fails == nil && !errors.Is(err, sqldedup.ErrEnded)):
						t.Errorf("%v; want a RolledBackError that says why", err)
					}
					if fails != nil && !errors.Is(err, fails) {
						t.Errorf("%v; want it to wrap what the function said", err)
					}
					apply(t, s, m)
					if n := count(t, db); n != 1 {
						t.Errorf("%d effects; want one", n)
					}
				})
			}
		}
	}
}

func TestAFunctionThatEndsItsTransaction(t *testing.T) { endsItsTransaction(t, newSink) }

// deferred is a table whose constraint is checked at COMMIT.
const deferred = `CREATE TABLE parents (id bigint PRIMARY KEY);
	CREATE TABLE children (parent bigint NOT NULL REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED)`

// What the database says of the effects at COMMIT is about the effects.
func violatesAtCommit(t *testing.T, s *sqldedup.Sink, db *sql.DB) {
	t.Helper()
	execute(t, db, deferred)
	for _, scope := range scopes {
		m := mark(scope, 1)
		m.Shard = scope.String()
		seal(t, s, m)
		err := s.Apply(t.Context(), []dedup.Mark{m}, func(tx *sql.Tx, _ []int) error {
			_, err := tx.ExecContext(t.Context(), `INSERT INTO children VALUES (1)`)
			return err
		})
		if _, ok := errors.AsType[*dedup.RolledBackError](err); !ok {
			t.Errorf("%s: %v; want a RolledBackError", scope, err)
		}
		calls := 0
		must(t, s.Apply(t.Context(), []dedup.Mark{m}, func(*sql.Tx, []int) error { calls++; return nil }))
		if calls != 1 {
			t.Errorf("%s: the record counts as done", scope)
		}
	}
}

func TestAConstraintThatIsCheckedAtCommit(t *testing.T) {
	db := open(t, newFile(t), "foreign_keys(1)")
	s := sqldedup.New(db, nil)
	must(t, s.Setup(t.Context()))
	violatesAtCommit(t, s, db)
}

// A function that writes past its transaction, and so waits for itself, is told by the database, and it is its fault.
func TestAFunctionThatWritesPastItsTransaction(t *testing.T) {
	s, db := newSink(t)
	m := mark(dedup.PerShard, 1)
	seal(t, s, m)
	err := s.Apply(t.Context(), []dedup.Mark{m}, func(*sql.Tx, []int) error {
		_, err := db.ExecContext(t.Context(), `INSERT INTO effects VALUES (1)`)
		return err
	})
	if _, ok := errors.AsType[*dedup.RolledBackError](err); !ok {
		t.Errorf("%v; want a RolledBackError", err)
	}
}
