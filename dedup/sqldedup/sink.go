package sqldedup

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/internal/marks"
	"github.com/runnelhq/runnel/internal/sqldialect"
)

const (
	defaultTable = "runnel_marks"
	defaultIdle  = 5 * time.Second
	minIdle      = 100 * time.Millisecond
	maxIdle      = time.Hour
)

// What Setup and other methods answer, by wrapping.
var (
	// ErrTable: the tables exist and have another shape than the sink's, or are in a database that marks cannot be in.
	ErrTable = errors.New("sqldedup: the table is not one of this sink's")
	// ErrDenied: the database refuses the caller.
	ErrDenied = errors.New("sqldedup: access denied")
	// ErrEnded: the function of an Apply ended the transaction itself, by Commit, Rollback or a statement. It must not: the sink does.
	ErrEnded = errors.New("sqldedup: the function ended the transaction that it was given")
)

// keeper is what errors say of this package.
var keeper = sqldialect.Keeper{Package: "sqldedup", Keeps: "marks", Memory: "memdedup", Unsure: "call again", Table: ErrTable, Denied: ErrDenied}

// Config changes where and for how long a [Sink] keeps its marks. The zero value is the default.
type Config struct {
	// Dialect is what the database is. It is told and not found out, so that New and [Sink.Schema] need no database. Defaults to [SQLite].
	Dialect Dialect
	// Table is what the names of the tables begin with, Table_seals, Table_done, Table_dead and Table_ids, and that of an index, Table_ids_at: letters, digits and underscores, 50 at most, the first no digit.
	// PostgreSQL's may begin with a schema, "marks.orders", which is public if none is given, whatever the search_path says. Defaults to "runnel_marks".
	Table string
	// MustExist says that the tables are made by somebody else, as [Sink.Schema] says: Setup checks them and makes nothing.
	// Defaults to false: Setup makes what is missing, and puts an SQLite database into WAL mode.
	MustExist bool
	// TTL is how long marks of [dedup.PerID] stay, by the clock of the server or, for SQLite, of the host. Later writes of such marks remove those that are past it, but for records that rest among the
	// dead. It must exceed the time for which the stream holds records, and the longest pause of the consumer. Defaults to 0: they stay.
	TTL time.Duration
	// Idle is for how long a function may leave its transaction without a statement on PostgreSQL, from 100 ms to 1 h: then the server ends it, so that a worker which stands still does not
	// keep who follows it from sealing the shard (idle_in_transaction_session_timeout). Defaults to 5 s.
	Idle time.Duration
}

// Sink is a [dedup.Effects] in tables of a database, whose effects are made on a *sql.Tx. It is safe for concurrent use and starts no goroutine that outlives a call.
type Sink struct {
	db     *sql.DB
	cfg    Config
	engine engine
	judge  judge // of the engine
	names  names
	pool   sqldialect.Pool
	book   marks.Book

	statements
}

// New returns a sink in db, which stays the caller's to close. It does no I/O: [Sink.Setup] makes the tables. A nil cfg is the default.
func New(db *sql.DB, cfg *Config) *Sink {
	s := &Sink{db: db}
	if cfg != nil {
		s.cfg = *cfg
	}
	s.cfg.Dialect = cmp.Or(s.cfg.Dialect, SQLite)
	s.cfg.Table = cmp.Or(s.cfg.Table, defaultTable)
	s.cfg.Idle = cmp.Or(s.cfg.Idle, defaultIdle)
	if s.cfg.Dialect == PostgreSQL {
		schema, name := sqldialect.Cut(s.cfg.Table)
		s.engine, s.names = postgres{sqldialect.PostgreSQL{Keeper: keeper, Schema: schema}, s.cfg.Idle}, namesOf(name)
	} else {
		s.engine, s.names = sqlite{sqldialect.SQLite{Keeper: keeper}}, namesOf(s.cfg.Table)
	}
	s.judge = judge{s.engine}
	s.pool = sqldialect.NewPool(db, s.judge)
	s.statements = statementsOf(s.engine, s.names)
	return s
}

// Validate refuses a sink that cannot work, without any statement.
func (s *Sink) Validate() error {
	var faults []error
	if s.db == nil {
		faults = append(faults, errors.New("sqldedup: New needs a database, from sql.Open"))
	}
	if d := s.cfg.Dialect; d != SQLite && d != PostgreSQL {
		faults = append(faults, fmt.Errorf("sqldedup: Config.Dialect is %q: use one of %q", d, []Dialect{SQLite, PostgreSQL}))
	}
	if why := s.engine.Refuses(s.cfg.Table); why != "" {
		faults = append(faults, fmt.Errorf("sqldedup: Config.Table is %q: %s", s.cfg.Table, why))
	}
	if s.cfg.TTL < 0 {
		faults = append(faults, fmt.Errorf("sqldedup: Config.TTL is %v: use 0 for marks that stay, or more than the stream's retention", s.cfg.TTL))
	}
	if s.cfg.Idle < minIdle || s.cfg.Idle > maxIdle {
		faults = append(faults, fmt.Errorf("sqldedup: Config.Idle is %v: use %v to %v", s.cfg.Idle, minIdle, maxIdle))
	}
	return errors.Join(faults...)
}

// Terms are all scopes, and [Config].TTL.
func (s *Sink) Terms() dedup.Terms {
	return dedup.Terms{Scopes: []dedup.Scope{dedup.PerShard, dedup.PerKey, dedup.PerID}, TTL: s.cfg.TTL}
}

// Schema is the SQL that makes the tables, for those who migrate elsewhere. An SQLite database must be in WAL mode too. Setup makes the same.
func (s *Sink) Schema() string { return strings.Join(s.engine.schema(s.names), ";\n") + ";\n" }

// Setup makes the tables and puts an SQLite database into WAL mode, unless they are so already or [Config].MustExist forbids it, and checks them: an error about their shape, or about a
// database that marks cannot be in, wraps [ErrTable] and names what differs; one about a database that the caller may not write wraps [ErrDenied]. Workers may call Setup in the same
// instant. A consumer calls it when it runs.
func (s *Sink) Setup(ctx context.Context) error {
	if err := s.Validate(); err != nil {
		return err
	}
	return s.explained(ctx, "set it up", s.pool.InTurn(ctx, func(conn *sql.Conn) error {
		return keeper.Setup(ctx, conn, s.engine, s.engine.layout(s.names), s.engine.schema(s.names), s.cfg.MustExist)
	}))
}

// explained says what failed on which table, and what to do where it follows from the error. It is nil if nothing did.
func (s *Sink) explained(ctx context.Context, what string, err error) error {
	if err == nil {
		return nil
	}
	err = s.engine.Explain(err)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	return fmt.Errorf("sqldedup: table %q: %s: %w", s.cfg.Table, what, err)
}
