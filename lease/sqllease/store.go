package sqllease

import (
	"context"
	"database/sql"
	"errors"
	"iter"

	"github.com/runnelhq/runnel/lease"
)

// Config changes where a [Store] keeps its rows. The zero value is the default.
type Config struct {
	// Table is the name of the table. Defaults to "runnel_leases".
	Table string
	// MustExist says that the table is made by somebody else: Setup checks it and never makes it.
	// Defaults to false: Setup makes the table if it is missing.
	MustExist bool
}

// Store is a [lease.Store] in a table of an SQLite database. It is safe for concurrent use.
type Store struct {
	db  *sql.DB
	cfg Config
}

var errUnfinished = errors.New("sqllease: not written yet")

// New returns a store on db, which stays the caller's. It does no I/O. A nil cfg is the default.
func New(db *sql.DB, cfg *Config) *Store {
	s := &Store{db: db}
	if cfg != nil {
		s.cfg = *cfg
	}
	return s
}

// Validate refuses a store that cannot work, without any statement.
func (s *Store) Validate() error {
	if s.db == nil {
		return errors.New("sqllease: New needs a database")
	}
	return nil
}

// Setup makes the table.
func (s *Store) Setup(context.Context) error { return errUnfinished }

// Get reads rows.
func (s *Store) Get(context.Context, []string) ([]lease.Row, error) { return nil, errUnfinished }

// List yields rows.
func (s *Store) List(context.Context, string, string) iter.Seq2[lease.Row, error] {
	return func(yield func(lease.Row, error) bool) { yield(lease.Row{}, errUnfinished) }
}

// Put writes rows.
func (s *Store) Put(_ context.Context, rows []lease.Row) []error {
	errs := make([]error, len(rows))
	for i := range errs {
		errs[i] = errUnfinished
	}
	return errs
}

// Delete removes rows.
func (s *Store) Delete(ctx context.Context, rows []lease.Row) []error { return s.Put(ctx, rows) }

var _ lease.Store = (*Store)(nil)
