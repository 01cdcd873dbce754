package sqlletters

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/runnelhq/runnel/internal/sqldialect"
)

const defaultTable = "runnel_letters"

// What Setup and other methods answer, by wrapping.
var (
	// ErrTable: the tables exist and have another shape than the store's, or are in a database that letters cannot be in.
	ErrTable = errors.New("sqlletters: the table is not one of this store's")
	// ErrDenied: the database refuses the caller.
	ErrDenied = errors.New("sqlletters: access denied")
)

// keeper is what errors say of this package.
var keeper = sqldialect.Keeper{Package: "sqlletters", Keeps: "letters", Memory: "memletters", Unsure: "call again", Table: ErrTable, Denied: ErrDenied}

// Config changes where a [Store] keeps its letters. The zero value is the default.
type Config struct {
	// Dialect is what the database is. It is told and not found out, so that New and [Store.Schema] need no database. Defaults to [SQLite].
	Dialect Dialect
	// Table is the name of the table: letters, digits and underscores, 50 at most, the first no digit. The names Table_keys, Table_id and Table_order are the store's too.
	// PostgreSQL's may begin with a schema, "letters.orders", which is public if none is given, whatever the search_path says. Defaults to "runnel_letters".
	Table string
	// MustExist says that the tables are made by somebody else, as [Store.Schema] says: Setup checks them and makes nothing.
	// Defaults to false: Setup makes what is missing, and puts an SQLite database into WAL mode.
	MustExist bool
}

// Store is a [deadletter.Store] in tables of a database. It is safe for concurrent use and starts no goroutine.
type Store struct {
	db     *sql.DB
	cfg    Config
	engine engine
	names  names
	pool   sqldialect.Pool

	statements
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
		schema, name := sqldialect.Cut(s.cfg.Table)
		s.engine, s.names = postgres{sqldialect.PostgreSQL{Keeper: keeper, Schema: schema}}, namesOf(name)
	} else {
		s.engine, s.names = sqlite{sqldialect.SQLite{Keeper: keeper}}, namesOf(s.cfg.Table)
	}
	s.pool = sqldialect.NewPool(db, s.engine)
	s.statements = statementsOf(s.engine, s.names)
	return s
}

// Validate refuses a store that cannot work, without any statement.
func (s *Store) Validate() error {
	var faults []error
	if s.db == nil {
		faults = append(faults, errors.New("sqlletters: New needs a database, from sql.Open"))
	}
	if d := s.cfg.Dialect; d != SQLite && d != PostgreSQL {
		faults = append(faults, fmt.Errorf("sqlletters: Config.Dialect is %q: use one of %q", d, []Dialect{SQLite, PostgreSQL}))
	}
	if why := s.engine.Refuses(s.cfg.Table); why != "" {
		faults = append(faults, fmt.Errorf("sqlletters: Config.Table is %q: %s", s.cfg.Table, why))
	}
	return errors.Join(faults...)
}

// Schema is the SQL that makes the tables, for those who migrate elsewhere. An SQLite database must be in WAL mode too. Setup makes the same.
func (s *Store) Schema() string { return strings.Join(s.engine.schema(s.names), ";\n") + ";\n" }

// Setup makes the tables and puts an SQLite database into WAL mode, unless they are so already or [Config].MustExist forbids it, and checks them: an error about their shape, or about a
// database that letters cannot be in, wraps [ErrTable] and names what differs; one about a database that the caller may not write wraps [ErrDenied]. Workers may call Setup in the same
// instant.
func (s *Store) Setup(ctx context.Context) error {
	if err := s.Validate(); err != nil {
		return err
	}
	return s.fault(ctx, "set it up", s.pool.InTurn(ctx, func(conn *sql.Conn) error {
		return keeper.Setup(ctx, conn, s.engine, s.engine.layout(s.names), s.engine.schema(s.names), s.cfg.MustExist)
	}))
}

// write calls f in a transaction, again if others kept it from being done.
func (s *Store) write(ctx context.Context, what string, f func(conn *sql.Conn) (keep bool, err error)) error {
	return s.fault(ctx, what, s.pool.InTurn(ctx, func(conn *sql.Conn) error {
		return s.engine.Transact(ctx, conn, func() (keep bool, err error) { return f(conn) })
	}))
}

// read calls f with a connection, again if others kept it from being done.
func (s *Store) read(ctx context.Context, what string, f func(conn *sql.Conn) error) error {
	return s.fault(ctx, what, s.pool.Patiently(ctx, f))
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
	return fmt.Errorf("sqlletters: table %q: %s: %w", s.cfg.Table, what, err)
}
