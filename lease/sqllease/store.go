package sqllease

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/runnelhq/runnel/internal/sqldialect"
	"github.com/runnelhq/runnel/lease"
)

const defaultTable = "runnel_leases"

// Config changes where a [Store] keeps its rows. The zero value is the default.
type Config struct {
	// Dialect is what the database is. It is told and not found out, so that New and [Store.Schema] need no database; Setup names a database that is another. Defaults to
	// [SQLite].
	Dialect Dialect
	// Table is the name of the table: letters, digits and underscores, 50 at most, the first no digit. The names Table_changes and Table_cursor are
	// the store's too. PostgreSQL's may begin with a schema, "leases.orders", which is public if none is given, whatever the search_path says. Defaults to "runnel_leases".
	Table string
	// MustExist says that the tables are made by somebody else, as [Store.Schema] says: Setup checks them and makes nothing.
	// Defaults to false: Setup makes what is missing, and puts an SQLite database into WAL mode.
	MustExist bool
}

// Store is a [lease.Store] in a table of a database. It is safe for concurrent use and starts no goroutine.
type Store struct {
	db     *sql.DB
	cfg    Config
	engine engine
	pool   sqldialect.Pool
}

// New returns a store in db, which stays the caller's to close. It does no I/O: [Store.Setup] makes the tables. A nil cfg is the default.
func New(db *sql.DB, cfg *Config) *Store {
	s := &Store{db: db}
	if cfg != nil {
		s.cfg = *cfg
	}
	s.cfg.Dialect = cmp.Or(s.cfg.Dialect, SQLite)
	s.cfg.Table = cmp.Or(s.cfg.Table, defaultTable)
	if s.cfg.Dialect == PostgreSQL {
		s.engine = newPostgres(s.cfg.Table)
	} else {
		s.engine = newSQLite(s.cfg.Table)
	}
	s.pool = sqldialect.NewPool(db, s.engine)
	return s
}

// Validate refuses a store that cannot work, without any statement.
func (s *Store) Validate() error {
	var faults []error
	if s.db == nil {
		faults = append(faults, errors.New("sqllease: New needs a database, from sql.Open"))
	}
	if d := s.cfg.Dialect; d != SQLite && d != PostgreSQL {
		faults = append(faults, fmt.Errorf("sqllease: Config.Dialect is %q: use one of %q", d, []Dialect{SQLite, PostgreSQL}))
	}
	if why := s.engine.Refuses(s.cfg.Table); why != "" {
		faults = append(faults, fmt.Errorf("sqllease: Config.Table is %q: %s", s.cfg.Table, why))
	}
	return errors.Join(faults...)
}

// Schema is the SQL that makes the tables, for those who migrate elsewhere. An SQLite database must be in WAL mode too. Setup makes the same.
func (s *Store) Schema() string { return strings.Join(s.engine.schema(), ";\n") + ";\n" }

// Setup makes the tables and puts an SQLite database into WAL mode, unless they are so already or [Config].MustExist forbids it, and checks them: an error about their shape, or about a
// database that leases cannot be in, wraps [lease.ErrTable] and names what differs; one about a database that the caller may not write wraps [lease.ErrDenied]. That a PostgreSQL server
// is a standby is neither, for it may be promoted yet. Workers may call Setup in the same instant.
func (s *Store) Setup(ctx context.Context) error {
	if err := s.Validate(); err != nil {
		return err
	}
	return s.inTurn(ctx, "set it up", func(conn *sql.Conn) error {
		return s.engine.setup(ctx, conn, s.cfg.MustExist)
	})
}

// Get reads rows consistently.
func (s *Store) Get(ctx context.Context, keys []string) ([]lease.Row, error) {
	asked := make(map[place]bool, len(keys))
	for _, key := range keys {
		at, err := split(key)
		if err != nil {
			return nil, s.fault(ctx, fmt.Sprintf("read %q", key), err)
		}
		asked[at] = true
	}
	stored := make(map[string]lease.Row, len(asked))
	for chunk := range slices.Chunk(slices.Collect(maps.Keys(asked)), s.engine.maxKeys()) {
		what := fmt.Sprintf("read %d rows", len(chunk))
		if len(chunk) == 1 {
			what = fmt.Sprintf("read %q", chunk[0].group+chunk[0].name)
		}
		query, args := s.engine.get(chunk)
		rows, err := s.read(ctx, what, query, args)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			stored[row.Key] = row
		}
	}
	rows := make([]lease.Row, len(keys))
	for i, key := range keys {
		row := stored[key]
		row.Key, row.Value = key, slices.Clone(row.Value) // a key may be asked for twice
		rows[i] = row
	}
	return rows, nil
}

// List yields the rows of a group, all of one instant. They are read before the first is yielded, so that a slow caller holds neither a connection nor the
// database. With a cursor only rows that were stamped after it come.
func (s *Store) List(ctx context.Context, group, after string) iter.Seq2[lease.Row, error] {
	return func(yield func(lease.Row, error) bool) {
		what := fmt.Sprintf("list %q", group)
		if _, err := split(group + "name"); err != nil || !strings.HasSuffix(group, "/") {
			yield(lease.Row{}, s.fault(ctx, what, errors.New("not a group that ends in a slash, of UTF-8 without zero bytes")))
			return
		}
		query, args := s.engine.list(group)
		if from, ok := parseCursor(after); ok {
			query, args = s.engine.since(group, from)
		}
		rows, err := s.read(ctx, what, query, args)
		if err != nil {
			yield(lease.Row{}, err)
			return
		}
		for _, row := range rows {
			if !yield(row, nil) {
				return
			}
		}
	}
}

// Put writes the rows in one transaction, each whose stored version is the row's: the others are conflicts and hinder none.
func (s *Store) Put(ctx context.Context, rows []lease.Row) []error {
	return s.write(ctx, "write", rows, s.engine.put)
}

// Delete removes the rows in one transaction, under the same condition.
func (s *Store) Delete(ctx context.Context, rows []lease.Row) []error {
	return s.write(ctx, "delete", rows, s.engine.remove)
}

// write applies one change to all rows that are sound, and answers nil when all were written.
func (s *Store) write(ctx context.Context, verb string, rows []lease.Row, f change) []error {
	errs := make([]error, len(rows))
	var sound []lease.Row
	var places []int // of sound in rows
	for i, row := range rows {
		if err := check(row); err != nil {
			errs[i] = s.fault(ctx, fmt.Sprintf("%s %q", verb, row.Key), err)
			continue
		}
		sound, places = append(sound, row), append(places, i)
	}
	for i, err := range s.together(ctx, verb, sound, f) {
		errs[places[i]] = err
	}
	if errors.Join(errs...) == nil {
		return nil
	}
	return errs
}

// together applies f to rows in one transaction. If the database refuses one of them, as a constraint that somebody added does, each has a transaction of its
// own.
func (s *Store) together(ctx context.Context, verb string, rows []lease.Row, f change) []error {
	if len(rows) == 0 {
		return nil
	}
	what := fmt.Sprintf("%s %d rows", verb, len(rows))
	if len(rows) == 1 {
		what = fmt.Sprintf("%s %q at version %d", verb, rows[0].Key, rows[0].Version)
	}
	answers := make([]error, len(rows))
	err := s.inTurn(ctx, what, func(conn *sql.Conn) error { return f(ctx, conn, rows, answers) })
	switch {
	case err != nil && len(rows) > 1 && s.engine.BlamesRow(err):
		for i := range rows {
			answers[i] = s.together(ctx, verb, rows[i:i+1], f)[0]
		}
	case err != nil:
		for i := range answers {
			answers[i] = err
		}
	default:
		for i, answer := range answers {
			if answer != nil {
				answers[i] = fmt.Errorf("sqllease: table %q: %s %q at version %d: %w", s.cfg.Table, verb, rows[i].Key, rows[i].Version, answer)
			}
		}
	}
	return answers
}

// read reads all rows of a query.
func (s *Store) read(ctx context.Context, what, query string, args []any) (rows []lease.Row, err error) {
	err = s.patiently(ctx, what, func(conn *sql.Conn) error {
		rows, err = s.rows(ctx, conn, query, args)
		return err
	})
	return rows, err
}

func (s *Store) rows(ctx context.Context, conn *sql.Conn, query string, args []any) (rows []lease.Row, err error) {
	found, err := conn.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = cmp.Or(err, found.Close()) }()
	for found.Next() {
		var c columns
		if err := found.Scan(&c.group, &c.name, &c.version, &c.cursor, &c.value); err != nil {
			return nil, err
		}
		if err := s.engine.refuse(c); err != nil {
			return nil, err
		}
		rows = append(rows, s.decode(c))
	}
	return rows, found.Err()
}

// patiently calls f with a connection, again and again while others are what keeps it.
func (s *Store) patiently(ctx context.Context, what string, f func(*sql.Conn) error) error {
	return s.fault(ctx, what, s.pool.Patiently(ctx, f))
}

// inTurn is patiently for a write.
func (s *Store) inTurn(ctx context.Context, what string, f func(*sql.Conn) error) error {
	return s.fault(ctx, what, s.pool.InTurn(ctx, f))
}

// fault says what failed on which table, and what to do where it follows from the error. It is nil if nothing did.
func (s *Store) fault(ctx context.Context, what string, err error) error {
	if err == nil {
		return nil
	}
	err = s.engine.Explain(err)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	return fmt.Errorf("sqllease: table %q: %s: %w", s.cfg.Table, what, err)
}
