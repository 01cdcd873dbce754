// Package sqldialect is what stores in an SQL database have in common, and what SQLite and PostgreSQL have of their own in it: transactions, patience with others' locks, what errors mean,
// which database is fit, and the shape of tables.
package sqldialect

// Keeper is what errors say of the package that keeps something in a database.
type Keeper struct {
	Package string // its name
	Keeps   string // what it keeps
	Memory  string // the package that keeps the same in the memory of one process
	Unsure  string // what to do if it is not known whether a write was applied
	Table   error  // wrapped by errors about a table or a database that cannot be used
	Denied  error  // wrapped by errors about what the caller may not do
}

// SQLite is a file, for processes that share one host.
type SQLite struct{ Keeper }

// PostgreSQL is a server.
type PostgreSQL struct {
	Keeper

	Schema string // of the tables, as it is named
}
