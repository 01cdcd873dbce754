package sqldialect

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"strings"
)

// Look sees what has a name. Tables and indexes share their names, of which case makes no difference.
func (d SQLite) Look(ctx context.Context, conn *sql.Conn, name string) (Shape, error) {
	s := emptyShape(name)
	var strict bool
	err := conn.QueryRowContext(ctx, `SELECT 'a ' || type, strict FROM pragma_table_list WHERE schema = 'main' AND name = ?1 COLLATE NOCASE
		UNION ALL SELECT printf('an index of "%s"', tbl_name), 0 FROM main.sqlite_schema WHERE type = 'index' AND name = ?1 COLLATE NOCASE`, name).Scan(&s.Kind, &strict)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return s, nil
	case err != nil || s.Kind != ATable:
		return s, err
	case !strict:
		s.Faults = append(s.Faults, "is not STRICT, so that a column holds values of any type")
	}
	return s, cmp.Or(d.readColumns(ctx, conn, &s), d.readIndexes(ctx, conn, &s))
}

func (SQLite) readColumns(ctx context.Context, conn *sql.Conn, s *Shape) (err error) {
	found, err := conn.QueryContext(ctx, `SELECT name, type, "notnull" = 0, dflt_value IS NOT NULL OR hidden > 0 FROM pragma_table_xinfo(?1, 'main')`, s.Name)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, found.Close()) }()
	for found.Next() {
		var name string
		var c Column
		if err := found.Scan(&name, &c.Kind, &c.Nullable, &c.Filled); err != nil {
			return err
		}
		s.Columns[strings.ToLower(name)] = c
	}
	return found.Err()
}

func (SQLite) readIndexes(ctx context.Context, conn *sql.Conn, s *Shape) (err error) {
	found, err := conn.QueryContext(ctx, `SELECT l.Name, l."unique", l.partial, l.origin, coalesce(x.Name, 'an expression') || ' ' || x.coll
		FROM pragma_index_list(?1, 'main') AS l, pragma_index_xinfo(l.Name, 'main') AS x WHERE x.key ORDER BY l.seq, x.seqno`, s.Name)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, found.Close()) }()
	for found.Next() {
		var name, origin, column string
		var unique, partial bool
		if err := found.Scan(&name, &unique, &partial, &origin, &column); err != nil {
			return err
		}
		name = strings.ToLower(name)
		switch {
		case origin == "pk":
			s.Key = listed(s.Key, column)
		case unique:
			s.Unique[name] = listed(s.Unique[name], column)
		case !partial:
			s.Indexes[name] = listed(s.Indexes[name], column)
		}
	}
	return found.Err()
}
