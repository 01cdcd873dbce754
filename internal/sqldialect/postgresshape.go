package sqldialect

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
)

// kindOf tells what has the name $2 in the schema $1. Tables, indexes and all else share their names.
const kindOf = `SELECT CASE c.relkind WHEN 'r' THEN 'a table' WHEN 'i' THEN (SELECT format('an index of "%s"', t.relname) FROM pg_index AS x JOIN pg_class AS t ON t.oid = x.indrelid WHERE x.indexrelid = c.oid)
    WHEN 'v' THEN 'a view' WHEN 'm' THEN 'a materialized view' WHEN 'p' THEN 'a partitioned table' WHEN 'f' THEN 'a foreign table' WHEN 'S' THEN 'a sequence' ELSE 'a relation of kind ' || c.relkind::text END,
    c.oid::bigint, c.relpersistence = 'p', row_security_active(c.oid)
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2`

// Look looks at what has a name.
func (d PostgreSQL) Look(ctx context.Context, conn *sql.Conn, name string) (Shape, error) {
	s := emptyShape(name)
	var id int64
	var permanent, filtered bool
	err := conn.QueryRowContext(ctx, kindOf, d.Schema, name).Scan(&s.Kind, &id, &permanent, &filtered)
	if errors.Is(err, sql.ErrNoRows) {
		return s, nil
	}
	if err != nil || s.Kind != ATable {
		return s, err
	}
	if !permanent {
		s.Faults = append(s.Faults, "is UNLOGGED, so that a crash empties it")
	}
	if filtered {
		s.Faults = append(s.Faults, "has row security, so that rows are hidden from this role")
	}
	return s, cmp.Or(d.readColumns(ctx, conn, id, &s), d.readIndexes(ctx, conn, id, &s))
}

func (PostgreSQL) readColumns(ctx context.Context, conn *sql.Conn, id int64, s *Shape) (err error) {
	found, err := conn.QueryContext(ctx, `SELECT a.attname, format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attcollation NOT IN (0, t.typcollation) THEN format(' COLLATE "%s"', l.collname) ELSE '' END,
    NOT a.attnotnull, a.atthasdef OR a.attidentity <> ''
  FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid LEFT JOIN pg_collation AS l ON l.oid = a.attcollation
  WHERE a.attrelid = $1::bigint::oid AND a.attnum > 0 AND NOT a.attisdropped`, id)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, found.Close()) }()
	for found.Next() {
		var name string
		var c Column
		if err := found.Scan(&name, &c.Kind, &c.Nullable, &c.Filled); err != nil {
			return err
		}
		s.Columns[name] = c
	}
	return found.Err()
}

func (PostgreSQL) readIndexes(ctx context.Context, conn *sql.Conn, id int64, s *Shape) (err error) {
	found, err := conn.QueryContext(ctx, `SELECT c.relname, x.indisprimary AND x.indimmediate, x.indisunique OR x.indisexclusion, x.indisvalid AND x.indpred IS NULL AND m.amname = 'btree',
    pg_get_indexdef(c.oid, k, true)
  FROM pg_index AS x JOIN pg_class AS c ON c.oid = x.indexrelid JOIN pg_am AS m ON m.oid = c.relam CROSS JOIN generate_series(1, x.indnkeyatts) AS k
  WHERE x.indrelid = $1::bigint::oid ORDER BY c.relname, k`, id)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, found.Close()) }()
	for found.Next() {
		var name, column string
		var primary, unique, complete bool
		if err := found.Scan(&name, &primary, &unique, &complete, &column); err != nil {
			return err
		}
		switch {
		case primary:
			s.Key = listed(s.Key, column)
		case unique:
			s.Unique[name] = listed(s.Unique[name], column)
		case complete:
			s.Indexes[name] = listed(s.Indexes[name], column)
		}
	}
	return found.Err()
}
