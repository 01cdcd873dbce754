package sqllease

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/runnelhq/runnel/internal/sqldialect"
	"github.com/runnelhq/runnel/lease"
)

// tables is how a store's tables are made and checked, in a transaction that keeps others from doing the same.
type tables struct {
	layout

	schema []string // makes what is missing
	touch  string   // writes the counter as it is
	look   func(ctx context.Context, conn *sql.Conn, name string) (sqldialect.Shape, error)
}

// setup makes what is missing unless mustExist, and checks all.
func (t tables) setup(ctx context.Context, conn *sql.Conn, mustExist bool) (keep bool, err error) {
	look := func(name string) (sqldialect.Shape, error) { return t.look(ctx, conn, name) }
	missing, err := t.missing(look)
	if err != nil {
		return false, err
	}
	if missing == "" {
		// Shows that this connection may write, too.
		counts, err := sqldialect.Affects(ctx, conn, t.touch)
		if counts || err != nil {
			return false, err
		}
		missing = fmt.Sprintf("the row of table %q", t.counter)
	}
	if mustExist {
		return false, fmt.Errorf("%s does not exist, and Config.MustExist forbids to make it: make it as Store.Schema says, or unset MustExist", missing)
	}
	for _, statement := range t.schema {
		if err := sqldialect.Execute(ctx, conn, statement); err != nil {
			return false, err
		}
	}
	if missing, err = t.missing(look); err == nil && missing != "" {
		err = fmt.Errorf("%w: %s cannot be made, for its name is taken: use another Config.Table", lease.ErrTable, missing)
	}
	return true, err
}
