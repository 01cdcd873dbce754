package sqldialect

import (
	"regexp"
	"strings"
)

// plainName leaves room for what is appended to it within the 63 bytes that SQL databases commonly take.
var plainName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,49}$`)

// Quote makes an identifier of any name.
func Quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// Refuses tells what a table cannot be called, or is "".
func (SQLite) Refuses(table string) string {
	if !plainName.MatchString(table) || strings.HasPrefix(strings.ToLower(table), "sqlite_") {
		return "use letters, digits and underscores, 50 at most, the first no digit, and not sqlite_ to begin with"
	}
	return ""
}

// Where names a table for sure: without its schema, a temporary one of the same name would come first.
func (SQLite) Where(table string) string { return "main." + Quote(table) }

// Cut is the schema and the name of a table, which may begin with its schema.
func Cut(table string) (schema, name string) {
	schema, name, found := strings.Cut(table, ".")
	if !found {
		return "public", table
	}
	return schema, name
}

// Refuses tells what a table cannot be called, with its schema or without, or is "".
func (PostgreSQL) Refuses(table string) string {
	schema, name := Cut(table)
	if !plainName.MatchString(name) || !plainName.MatchString(schema) {
		return "use letters, digits and underscores, 50 at most, the first no digit, with a schema of the same and a dot before it or without"
	}
	return ""
}

// Where names a table for sure, whatever the search_path says.
func (d PostgreSQL) Where(table string) string { return Quote(d.Schema) + "." + Quote(table) }
