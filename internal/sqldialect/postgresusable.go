package sqldialect

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// Usable checks that the server is a PostgreSQL that can be written, and the database one of Unicode.
func (d PostgreSQL) Usable(ctx context.Context, conn *sql.Conn, _ bool) error {
	var version, encoding string
	var number int
	var standby, readOnly bool
	err := conn.QueryRowContext(ctx, `SELECT version(), current_setting('server_version_num')::int, getdatabaseencoding(), pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'`).
		Scan(&version, &number, &encoding, &standby, &readOnly)
	product, _, _ := strings.Cut(version, " ")
	switch {
	case err != nil && d.Transient(err):
		return err
	case err != nil:
		return fmt.Errorf("ask for the version of PostgreSQL, which Config.Dialect says the database is: %w", err)
	case product != "PostgreSQL" || number < 130000:
		return fmt.Errorf("%w: the server is %s: this store needs PostgreSQL 13 or later", d.Table, version)
	case encoding != "UTF8":
		return fmt.Errorf("%w: the encoding of the database is %s, which cannot hold every key: use a database of ENCODING 'UTF8'", d.Table, encoding)
	case standby:
		return fmt.Errorf("the server is a standby: %s", d.primaryOnly())
	case readOnly:
		return fmt.Errorf("the server, the database or the role is set to read only: %s", d.primaryOnly())
	}
	return nil
}

// NotThePrimary is a query for what an answer that does not count has: what a standby says, or a server that was set to read only to be replaced, may be old. It has a row then, the name of
// such a server in its last of n columns and nothing in the others, and is asked in the statement itself by UNION ALL, which leaves no moment between.
func (PostgreSQL) NotThePrimary(n int) string {
	return `SELECT ` + strings.Repeat("NULL, ", n-1) + `CASE WHEN pg_is_in_recovery() THEN 'a standby' ELSE 'set to read only' END
  WHERE pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on'`
}

// Refuse is the error about such a server.
func (d PostgreSQL) Refuse(what any) error {
	return fmt.Errorf("the server is %v: %s", what, d.primaryOnly())
}
