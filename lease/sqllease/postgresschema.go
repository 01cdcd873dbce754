package sqllease

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/runnelhq/runnel/internal/sqldialect"
	"github.com/runnelhq/runnel/lease"
)

// schema has the counter start at the last cursor if rows are there. Keys are compared as bytes, in whatever language the database sorts.
func (e *postgres) schema() []string {
	return []string{
		`CREATE TABLE IF NOT EXISTS ` + e.rows + ` (
  grp     text COLLATE "C" NOT NULL,
  name    text COLLATE "C" NOT NULL,
  version bigint NOT NULL,
  cursor  bigint NOT NULL,
  value   text NOT NULL,
  PRIMARY KEY (grp, name)
)`,
		`CREATE INDEX IF NOT EXISTS ` + sqldialect.Quote(e.changes) + ` ON ` + e.rows + ` (grp, cursor)`,
		`CREATE TABLE IF NOT EXISTS ` + e.count + ` (
  id   integer NOT NULL PRIMARY KEY,
  last bigint NOT NULL
)`,
		`INSERT INTO ` + e.count + ` (id, last)
  SELECT 1, coalesce(max(cursor), 0) FROM ` + e.rows + ` ON CONFLICT (id) DO NOTHING`,
	}
}

// setup sees and makes everything in one transaction, under a lock of its own: CREATE TABLE IF NOT EXISTS fails where two make one table in the same instant.
func (e *postgres) setup(ctx context.Context, conn *sql.Conn, mustExist bool) error {
	if err := e.Usable(ctx, conn, mustExist); err != nil {
		return err
	}
	t := tables{
		layout: layout{
			names: e.names,
			rows:  map[string]string{"grp": `text COLLATE "C"`, "name": `text COLLATE "C"`, "version": "bigint", "cursor": "bigint", "value": "text"},
			count: map[string]string{"id": "integer", "last": "bigint"},
			key:   "grp, name", index: "grp, cursor",
		},
		schema: e.schema(), touch: e.touched, look: e.Look,
	}
	return e.Transact(ctx, conn, func() (keep bool, err error) {
		if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1::text, 0))`, "runnel "+e.rows); err != nil {
			return false, err
		}
		if keep, err = t.setup(ctx, conn, mustExist); err != nil {
			return false, err
		}
		return keep, e.permitted(ctx, conn)
	})
}

// permitted checks that the role may do with the tables what a store does.
func (e *postgres) permitted(ctx context.Context, conn *sql.Conn) error {
	var role, lacks string
	err := conn.QueryRowContext(ctx, `SELECT current_user, coalesce(string_agg(p || ' on ' || t, ', ' ORDER BY t, p), '')
  FROM (SELECT $1::text, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) UNION ALL SELECT $2::text, unnest(ARRAY['SELECT', 'UPDATE'])) AS needed (t, p)
  WHERE NOT has_table_privilege(t, p)`, e.rows, e.count).Scan(&role, &lacks)
	if err == nil && lacks != "" {
		err = fmt.Errorf("%w: the role %q lacks %s", lease.ErrDenied, role, lacks)
	}
	return err
}
