// Package sqllease keeps leases in a table of an SQL database: SQLite.
package sqllease
