package sqllease

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"strings"
)

// look sees what has a name. Tables and indexes share their names, of which case makes no difference.
func (e *sqlite) look(ctx context.Context, conn *sql.Conn, name string) (shape, error) {
	s := emptyShape(name)
	var strict bool
	err := conn.QueryRowContext(ctx, `SELECT 'a ' || type, strict FROM pragma_table_list WHERE schema = 'main' AND name = ?1 COLLATE NOCASE
		UNION ALL SELECT printf('an index of "%s"', tbl_name), 0 FROM main.sqlite_schema WHERE type = 'index' AND name = ?1 COLLATE NOCASE`, name).Scan(&s.kind, &strict)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return s, nil
	case err != nil || s.kind != aTable:
		return s, err
	case !strict:
		s.faults = append(s.faults, "is not STRICT, so that a column holds values of any type")
	}
	return s, cmp.Or(e.readColumns(ctx, conn, &s), e.readIndexes(ctx, conn, &s))
}

func (*sqlite) readColumns(ctx context.Context, conn *sql.Conn, s *shape) (err error) {
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

func (*sqlite) readIndexes(ctx context.Context, conn *sql.Conn, s *shape) (err error) {
	found, err := conn.QueryContext(ctx, `SELECT l.name, l."unique", l.partial, l.origin, coalesce(x.name, 'an expression') || ' ' || x.coll
		FROM pragma_index_list(?1, 'main') AS l, pragma_index_xinfo(l.name, 'main') AS x WHERE x.key ORDER BY l.seq, x.seqno`, s.name)
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
			s.key = listed(s.key, column)
		case unique:
			s.unique[name] = listed(s.unique[name], column)
		case !partial:
			s.indexes[name] = listed(s.indexes[name], column)
		}
	}
	return found.Err()
}
