package sqldialect

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Table is what a table of a keeper is to look like. Further columns are fine if an INSERT need not name them, and further indexes if they refuse no row.
type Table struct {
	Name    string
	Columns map[string]string // types
	Key     string            // columns of the primary key, "" where that is no index
	Indexes []Index
}

// Index is one that a [Table] is to have.
type Index struct {
	Name, Columns string
	Unique        bool
}

// Maker is [SQLite] or [PostgreSQL], by what makes tables in it.
type Maker interface {
	// Usable checks that the database is one that tables of a keeper can be in.
	Usable(ctx context.Context, conn *sql.Conn, mustExist bool) error
	// Transact calls f in a transaction, and keeps it if f says so.
	Transact(ctx context.Context, conn *sql.Conn, f func() (keep bool, err error)) error
	// Alone has others that make the same table wait until the transaction ends.
	Alone(ctx context.Context, conn *sql.Conn, table string) error
	// Look sees what has a name.
	Look(ctx context.Context, conn *sql.Conn, name string) (Shape, error)
	// Permitted checks that the caller may read and write tables.
	Permitted(ctx context.Context, conn *sql.Conn, tables []Table) error
}

// Setup makes what is missing of the tables by the statements of schema, unless mustExist, and checks all.
func (k Keeper) Setup(ctx context.Context, conn *sql.Conn, m Maker, tables []Table, schema []string, mustExist bool) error {
	if err := m.Usable(ctx, conn, mustExist); err != nil {
		return err
	}
	look := func(name string) (Shape, error) { return m.Look(ctx, conn, name) }
	return m.Transact(ctx, conn, func() (keep bool, err error) {
		if err := m.Alone(ctx, conn, tables[0].Name); err != nil {
			return false, err
		}
		missing, err := k.missing(tables, look)
		switch {
		case err != nil:
			return false, err
		case missing == "":
			return false, m.Permitted(ctx, conn, tables)
		case mustExist:
			return false, fmt.Errorf("%s does not exist, and Config.MustExist forbids to make it: make it as Schema says, or unset MustExist", missing)
		}
		for _, statement := range schema {
			if err := Execute(ctx, conn, statement); err != nil {
				return false, err
			}
		}
		if missing, err = k.missing(tables, look); err == nil && missing != "" {
			err = fmt.Errorf("%w: %s cannot be made, for its name is taken: use another Config.Table", k.Table, missing)
		}
		if err != nil {
			return false, err
		}
		return true, m.Permitted(ctx, conn, tables)
	})
}

// missing names the first of the tables and indexes that is not there, or is "". The error is about all that are there and have another shape.
func (k Keeper) missing(tables []Table, look func(name string) (Shape, error)) (missing string, err error) {
	var faults []string
	for _, t := range tables {
		is, err := look(t.Name)
		if err != nil {
			return "", err
		}
		lacks, differs := t.compare(is)
		faults = append(faults, differs...)
		if missing == "" {
			missing = lacks
		}
	}
	if faults != nil {
		return "", fmt.Errorf("%w: %s: it is no table of %s: use another Config.Table", k.Table, strings.Join(faults, "; "), k.Keeps)
	}
	return missing, nil
}

// compare tells what of a table is not there, "" if nothing, and what is there and differs.
func (t Table) compare(is Shape) (missing string, faults []string) {
	switch faults = is.Differences(t.Columns); is.Kind {
	case "":
		return fmt.Sprintf("table %q", t.Name), faults
	case ATable:
	default:
		return "", faults
	}
	if is.Key != t.Key {
		faults = append(faults, fmt.Sprintf("the primary key of %q is (%s); want (%s)", t.Name, is.Key, t.Key))
	}
	for _, name := range slices.Sorted(maps.Keys(is.Unique)) {
		if !slices.ContainsFunc(t.Indexes, func(i Index) bool { return i.Unique && strings.EqualFold(i.Name, name) }) {
			faults = append(faults, fmt.Sprintf("index %q of %q wants (%s) unique", name, t.Name, is.Unique[name]))
		}
	}
	for _, i := range t.Indexes {
		columns := is.Index(i.Name)
		if i.Unique {
			columns = is.UniqueIndex(i.Name)
		}
		switch {
		case columns == "" && missing == "" && i.Unique:
			missing = fmt.Sprintf("the unique index %q", i.Name)
		case columns == "" && missing == "":
			missing = fmt.Sprintf("index %q", i.Name)
		case columns != "" && columns != i.Columns:
			faults = append(faults, fmt.Sprintf("index %q is on (%s); want (%s)", i.Name, columns, i.Columns))
		}
	}
	return missing, faults
}

// Alone has nothing to do: a transaction has the lock for writing.
func (SQLite) Alone(context.Context, *sql.Conn, string) error { return nil }

// Alone locks by the name of a table that need not be there. CREATE TABLE IF NOT EXISTS fails where two make one table in the same instant.
func (d PostgreSQL) Alone(ctx context.Context, conn *sql.Conn, table string) error {
	_, err := conn.ExecContext(ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1::text, 0))`, "runnel "+d.Where(table))
	return err
}

// Permitted has nothing to check: who may write the file may write its tables.
func (SQLite) Permitted(context.Context, *sql.Conn, []Table) error { return nil }

// Permitted checks that the role may read and write tables.
func (d PostgreSQL) Permitted(ctx context.Context, conn *sql.Conn, tables []Table) error {
	var role string
	var lacks []string
	for _, t := range tables {
		var some string
		err := conn.QueryRowContext(ctx, `SELECT current_user, coalesce(string_agg(p || ' on ' || $1::text, ', ' ORDER BY p), '')
  FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS p WHERE NOT has_table_privilege($1::text, p)`, d.Where(t.Name)).Scan(&role, &some)
		if err != nil {
			return err
		}
		if some != "" {
			lacks = append(lacks, some)
		}
	}
	if lacks != nil {
		return fmt.Errorf("%w: the role %q lacks %s", d.Denied, role, strings.Join(lacks, ", "))
	}
	return nil
}
