package sqllease

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/runnelhq/runnel/internal/sqldialect"
	"github.com/runnelhq/runnel/lease"
)

// layout is what a store's tables are to look like.
type layout struct {
	names

	rows, count map[string]string // types of columns
	key, index  string            // columns of the primary key and of the index of changes
}

// missing names the first of the tables and the index that is not there, or is "". The error is about one that is there and has another shape.
func (l layout) missing(look func(name string) (sqldialect.Shape, error)) (string, error) {
	rows, err := look(l.table)
	if err != nil {
		return "", err
	}
	counter, err := look(l.counter)
	if err != nil {
		return "", err
	}
	changes, err := look(l.changes)
	if err != nil {
		return "", err
	}
	faults := append(rows.Differences(l.rows), counter.Differences(l.count)...)
	if rows.Kind == sqldialect.ATable {
		if rows.Key != l.key {
			faults = append(faults, fmt.Sprintf("the primary key of %q is (%s); want (%s)", l.table, rows.Key, l.key))
		}
		for _, name := range slices.Sorted(maps.Keys(rows.Unique)) {
			faults = append(faults, fmt.Sprintf("index %q of %q wants (%s) unique", name, l.table, rows.Unique[name]))
		}
	}
	if want := fmt.Sprintf("an index of %q", l.table); changes.Kind != "" && !strings.EqualFold(changes.Kind, want) {
		faults = append(faults, fmt.Sprintf("%q is %s; want %s", l.changes, changes.Kind, want))
	}
	index := rows.Index(l.changes)
	if index != "" && index != l.index {
		faults = append(faults, fmt.Sprintf("index %q is on (%s); want (%s)", l.changes, index, l.index))
	}
	switch {
	case faults != nil:
		return "", fmt.Errorf("%w: %s: it is no table of leases: use another Config.Table", lease.ErrTable, strings.Join(faults, "; "))
	case rows.Kind == "":
		return fmt.Sprintf("table %q", l.table), nil
	case index == "":
		return fmt.Sprintf("index %q", l.changes), nil
	case counter.Kind == "":
		return fmt.Sprintf("table %q", l.counter), nil
	}
	return "", nil
}
