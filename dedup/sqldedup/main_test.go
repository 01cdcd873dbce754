package sqldedup_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/sqldedup"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(serving{m}) }

// serving closes what tests share, before anybody looks for what they left.
type serving struct{ *testing.M }

// atEnd closes it.
var atEnd []func() error

func (s serving) Run() int {
	code := s.M.Run()
	for _, f := range atEnd {
		if err := f(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	return code
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// within is a context for what must not take long.
func within(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// newFile is the path of a database that does not exist yet.
func newFile(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "orders.db")
}

// open opens a file, with the driver's default of not waiting for any lock.
func open(t *testing.T, file string, pragmas ...string) *sql.DB {
	t.Helper()
	return openWith(t, file, url.Values{"_pragma": pragmas})
}

func openWith(t *testing.T, file string, options url.Values) *sql.DB {
	t.Helper()
	dsn := url.URL{Scheme: "file", Opaque: file, RawQuery: options.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, db)
	return db
}

func closeAtEnd(t *testing.T, db *sql.DB) {
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}

// newSink is a sink on a file of its own, set up, beside a table of effects.
func newSink(t *testing.T) (*sqldedup.Sink, *sql.DB) {
	t.Helper()
	db := open(t, newFile(t))
	s := sqldedup.New(db, nil)
	must(t, s.Setup(t.Context()))
	execute(t, db, effects)
	return s, db
}

// effects is a table for them.
const effects = `CREATE TABLE effects (n bigint PRIMARY KEY)`

func execute(t *testing.T, db *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// ask is the single value that a query has.
func ask[T any](t *testing.T, db *sql.DB, query string, args ...any) (value T) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), query, args...).Scan(&value); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return value
}

// mark is of the n-th record of a shard, of its first owner.
func mark(scope dedup.Scope, n uint64) dedup.Mark {
	return dedup.Mark{App: "billing", Stream: "orders", Shard: "shard-0", Scope: scope, Key: "key", Position: checkpoint.Offset(n), Epoch: 1, Session: "one", Generation: 1}
}

// next is a mark of who follows.
func next(m dedup.Mark) dedup.Mark {
	m.Epoch, m.Session = 2, "two"
	return m
}

// key is a mark of another key.
func key(m dedup.Mark, name string) dedup.Mark {
	m.Key = name
	return m
}

// start is a mark for the first seal.
func start(m dedup.Mark) dedup.Mark {
	m.Position = checkpoint.Position{}
	return m
}

func seal(t *testing.T, s dedup.Sink, m dedup.Mark) checkpoint.Position {
	t.Helper()
	low, err := s.Seal(t.Context(), start(m))
	must(t, err)
	return low
}

// insert is an effect of each fresh record.
func insert(ctx context.Context, ms ...dedup.Mark) func(tx *sql.Tx, fresh []int) error {
	return func(tx *sql.Tx, fresh []int) error {
		for _, i := range fresh {
			if _, err := tx.ExecContext(ctx, `INSERT INTO effects VALUES (`+ms[i].Position.String()+`)`); err != nil {
				return err
			}
		}
		return nil
	}
}

func apply(t *testing.T, s *sqldedup.Sink, ms ...dedup.Mark) {
	t.Helper()
	must(t, s.Apply(t.Context(), ms, insert(t.Context(), ms...)))
}

func count(t *testing.T, db *sql.DB) int {
	t.Helper()
	return ask[int](t, db, `SELECT count(*) FROM effects`)
}

// ascending are positions, each above the one before: neighbours of 56 digits, of other lengths, with zeros and inside aggregates.
func ascending(t *testing.T) (all []checkpoint.Position) {
	t.Helper()
	long := "49590338271490256608559692538361571095921575989136588898"
	for _, text := range []string{
		"0", "0000000009", "10", "99", "100", long[:55], long + ":1", long + ":2", long + ":10", long[:55] + "9", "9" + long[1:], "1" + long, strings.Repeat("9", 899), "1" + strings.Repeat("0", 899),
	} {
		p, err := checkpoint.Parse(text)
		must(t, err)
		all = append(all, p)
	}
	return all
}
