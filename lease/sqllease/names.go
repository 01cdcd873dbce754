package sqllease

import (
	"database/sql"
	"errors"
	"fmt"

	"github.com/runnelhq/runnel/internal/sqldialect"
	"github.com/runnelhq/runnel/lease"
)

// keeper is what errors say of this package.
var keeper = sqldialect.Keeper{Package: "sqllease", Keeps: "leases", Memory: "memlease", Unsure: "read the rows", Table: lease.ErrTable, Denied: lease.ErrDenied}

// names are those of a store's tables and of its index.
type names struct{ table, changes, counter string }

func namesOf(table string) names { return names{table, table + "_changes", table + "_cursor"} }

// countError names the counter if err says that it has no row.
func (n names) countError(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("its counter, the row of %s, is gone: Setup makes it", n.counter)
	}
	return err
}
