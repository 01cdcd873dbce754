package sqllease

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// shape is how a table is made.
type shape struct {
	name    string
	exists  bool
	kind    string            // see kindOf
	strict  bool              // types of columns bind
	columns map[string]column // by their names in lower case
	key     string            // columns of the primary key, if it has an index, with their collations
	indexes map[string]string // columns of those that are complete, by their names in lower case
	unique  map[string]string // columns of those that refuse rows
}

type column struct {
	kind     string
	nullable bool
	filled   bool // without being named in an INSERT
}

// aTable is the kind of what leases can be in.
const aTable = "a table"

// kindOf tells what has a name, with its article: a table, a view, a virtual, an index and of which table. Tables and indexes share their names. It is "" if
// nothing has the name.
func kindOf(ctx context.Context, conn *sql.Conn, name string) (kind string, strict bool, err error) {
	err = conn.QueryRowContext(ctx, `SELECT 'a ' || type, strict FROM pragma_table_list WHERE schema = 'main' AND name = ?1 COLLATE NOCASE
		UNION ALL SELECT printf('an index of "%s"', tbl_name), 0 FROM main.sqlite_schema WHERE type = 'index' AND name = ?1 COLLATE NOCASE`, name).Scan(&kind, &strict)
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, nil
	}
	return kind, strict, err
}

// shapeOf looks at a table.
func shapeOf(ctx context.Context, conn *sql.Conn, name string) (s shape, err error) {
	s = shape{name: name, columns: map[string]column{}, indexes: map[string]string{}, unique: map[string]string{}}
	if s.kind, s.strict, err = kindOf(ctx, conn, name); err != nil || s.kind == "" {
		return s, err
	}
	s.exists = true
	return s, cmp.Or(s.readColumns(ctx, conn), s.readIndexes(ctx, conn))
}

func (s *shape) readColumns(ctx context.Context, conn *sql.Conn) (err error) {
	found, err := conn.QueryContext(ctx, `SELECT name, type, "notnull" = 0, dflt_value IS NOT NULL OR hidden > 0 FROM pragma_table_xinfo(?1, 'main')`, s.name)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, found.Close()) }()
	for found.Next() {
		var name string
		var c column
		if err := found.Scan(&name, &c.kind, &c.nullable, &c.filled); err != nil {
			return err
		}
		s.columns[strings.ToLower(name)] = c
	}
	return found.Err()
}

func (s *shape) readIndexes(ctx context.Context, conn *sql.Conn) (err error) {
	found, err := conn.QueryContext(ctx, `SELECT l.name, l."unique", l.partial, l.origin, coalesce(x.name, 'an expression') || ' ' || x.coll
		FROM pragma_index_list(?1, 'main') AS l, pragma_index_xinfo(l.name, 'main') AS x WHERE x.key ORDER BY l.seq, x.seqno`, s.name)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, found.Close()) }()
	add := func(list, column string) string { return strings.TrimPrefix(list+", "+column, ", ") }
	for found.Next() {
		var name, origin, column string
		var unique, partial bool
		if err := found.Scan(&name, &unique, &partial, &origin, &column); err != nil {
			return err
		}
		name = strings.ToLower(name)
		switch {
		case origin == "pk":
			s.key = add(s.key, column)
		case unique:
			s.unique[name] = add(s.unique[name], column)
		case !partial:
			s.indexes[name] = add(s.indexes[name], column)
		}
	}
	return found.Err()
}

// differences tells how the table, if it exists, differs from one with columns of these types. Further columns are fine if an INSERT need not name them.
func (s *shape) differences(columns map[string]string) (faults []string) {
	differ := func(format string, args ...any) {
		faults = append(faults, fmt.Sprintf("%q ", s.name)+fmt.Sprintf(format, args...))
	}
	switch {
	case !s.exists:
		return nil
	case s.kind != aTable:
		differ("is %s; want %s", s.kind, aTable)
		return faults
	case !s.strict:
		differ("is not STRICT, so that a column holds values of any type")
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
