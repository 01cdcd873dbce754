package sqldialect

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Shape is how what has a name is made.
type Shape struct {
	Name    string
	Kind    string // with its article: a table, a view, an index and of which table; "" if nothing has the name. The rest is a table's
	Faults  []string
	Columns map[string]Column
	Key     string            // columns of the primary key, if it has an index
	Indexes map[string]string // columns of those that are complete
	Unique  map[string]string // columns of those that refuse rows
}

// Column is one of a [Shape].
type Column struct {
	Kind     string
	Nullable bool
	Filled   bool // without being named in an INSERT
}

// ATable is the kind of what rows can be in.
const ATable = "a table"

// emptyShape is one in which what is found can be written down.
func emptyShape(name string) Shape {
	return Shape{Name: name, Columns: map[string]Column{}, Indexes: map[string]string{}, Unique: map[string]string{}}
}

// Index has the columns of a complete index that refuses no row, or is "".
func (s *Shape) Index(name string) string { return named(s.Indexes, name) }

// UniqueIndex has the columns of an index that refuses rows, or is "".
func (s *Shape) UniqueIndex(name string) string { return named(s.Unique, name) }

func named(indexes map[string]string, name string) string {
	for other, columns := range indexes {
		if strings.EqualFold(other, name) {
			return columns
		}
	}
	return ""
}

// Differences tells how the table, if it exists, differs from one with columns of these types. Further columns are fine if an INSERT need not name them.
func (s *Shape) Differences(columns map[string]string) (faults []string) {
	differ := func(format string, args ...any) {
		faults = append(faults, fmt.Sprintf("%q ", s.Name)+fmt.Sprintf(format, args...))
	}
	switch s.Kind {
	case "":
		return nil
	case ATable:
	default:
		differ("is %s; want %s", s.Kind, ATable)
		return faults
	}
	for _, fault := range s.Faults {
		differ("%s", fault)
	}
	for _, name := range slices.Sorted(maps.Keys(columns)) {
		switch c, ok := s.Columns[name]; {
		case !ok:
			differ("has no column %s", name)
		case c.Kind != columns[name] || c.Nullable:
			null := " NOT NULL"
			if c.Nullable {
				null = ""
			}
			differ("has the column %s %s%s; want %s NOT NULL", name, c.Kind, null, columns[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Columns)) {
		if _, ok := columns[name]; !ok && !s.Columns[name].Nullable && !s.Columns[name].Filled {
			differ("has a column %s of its own that must be given a value", name)
		}
	}
	return faults
}

// listed is a list of columns with one more.
func listed(list, column string) string { return strings.TrimPrefix(list+", "+column, ", ") }
