package sqllease

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/runnelhq/runnel/lease"
)

// shape is how what has a name is made.
type shape struct {
	name    string
	kind    string // with its article: a table, a view, an index and of which table; "" if nothing has the name. The rest is a table's
	faults  []string
	columns map[string]column
	key     string            // columns of the primary key, if it has an index
	indexes map[string]string // columns of those that are complete
	unique  map[string]string // columns of those that refuse rows
}

type column struct {
	kind     string
	nullable bool
	filled   bool // without being named in an INSERT
}

// aTable is the kind of what leases can be in.
const aTable = "a table"

// emptyShape is one in which what is found can be written down.
func emptyShape(name string) shape {
	return shape{name: name, columns: map[string]column{}, indexes: map[string]string{}, unique: map[string]string{}}
}

// layout is what a store's tables are to look like.
type layout struct {
	names

	rows, count map[string]string // types of columns
	key, index  string            // columns of the primary key and of the index of changes
}

// missing names the first of the tables and the index that is not there, or is "". The error is about one that is there and has another shape.
func (l layout) missing(look func(name string) (shape, error)) (string, error) {
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
	faults := append(rows.differences(l.rows), counter.differences(l.count)...)
	if rows.kind == aTable {
		if rows.key != l.key {
			faults = append(faults, fmt.Sprintf("the primary key of %q is (%s); want (%s)", l.table, rows.key, l.key))
		}
		for _, name := range slices.Sorted(maps.Keys(rows.unique)) {
			faults = append(faults, fmt.Sprintf("index %q of %q wants (%s) unique", name, l.table, rows.unique[name]))
		}
	}
	if want := fmt.Sprintf("an index of %q", l.table); changes.kind != "" && !strings.EqualFold(changes.kind, want) {
		faults = append(faults, fmt.Sprintf("%q is %s; want %s", l.changes, changes.kind, want))
	}
	index := rows.index(l.changes)
	if index != "" && index != l.index {
		faults = append(faults, fmt.Sprintf("index %q is on (%s); want (%s)", l.changes, index, l.index))
	}
	switch {
	case faults != nil:
		return "", fmt.Errorf("%w: %s: it is no table of leases: use another Config.Table", lease.ErrTable, strings.Join(faults, "; "))
	case rows.kind == "":
		return fmt.Sprintf("table %q", l.table), nil
	case index == "":
		return fmt.Sprintf("index %q", l.changes), nil
	case counter.kind == "":
		return fmt.Sprintf("table %q", l.counter), nil
	}
	return "", nil
}

// index has the columns of a complete index, or is "".
func (s *shape) index(name string) string {
	for other, columns := range s.indexes {
		if strings.EqualFold(other, name) {
			return columns
		}
	}
	return ""
}

// differences tells how the table, if it exists, differs from one with columns of these types. Further columns are fine if an INSERT need not name them.
func (s *shape) differences(columns map[string]string) (faults []string) {
	differ := func(format string, args ...any) {
		faults = append(faults, fmt.Sprintf("%q ", s.name)+fmt.Sprintf(format, args...))
	}
	switch s.kind {
	case "":
		return nil
	case aTable:
	default:
		differ("is %s; want %s", s.kind, aTable)
		return faults
	}
	for _, fault := range s.faults {
		differ("%s", fault)
	}
	for _, name := range slices.Sorted(maps.Keys(columns)) {
		switch c, ok := s.columns[name]; {
		case !ok:
			differ("has no column %s", name)
		case c.kind != columns[name] || c.nullable:
			null := " NOT NULL"
			if c.nullable {
				null = ""
			}
			differ("has the column %s %s%s; want %s NOT NULL", name, c.kind, null, columns[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.columns)) {
		if _, ok := columns[name]; !ok && !s.columns[name].nullable && !s.columns[name].filled {
			differ("has a column %s of its own that must be given a value", name)
		}
	}
	return faults
}

// listed is a list of columns with one more.
func listed(list, column string) string { return strings.TrimPrefix(list+", "+column, ", ") }
