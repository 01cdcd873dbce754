// Package sqlletters keeps dead letters in tables of an SQL database.
package sqlletters
