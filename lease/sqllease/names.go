package sqllease

import (
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

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

// plainName leaves room for what is appended to it within the 63 bytes that SQL databases commonly take.
var plainName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,49}$`)

// quote makes an identifier of any name.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
