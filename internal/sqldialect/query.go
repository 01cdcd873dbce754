package sqldialect

import (
	"regexp"
	"strings"
)

// sqliteClock is the host's, which all processes that share the file have.
const sqliteClock = `CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)`

// postgresClock is the server's, and of this moment: that of the transaction stands still while it waits for a lock.
const postgresClock = `(extract(epoch FROM clock_timestamp()) * 1000000)::bigint`

var parameter = regexp.MustCompile(`\?(\d)`)

// Query is a statement as the database wants it, of one in which ?1 is the first parameter of nine at most, {now} the clock in microseconds since 1970 and {lock} what has a SELECT lock its rows.
func (SQLite) Query(text string) string {
	return strings.NewReplacer("{now}", sqliteClock, "{lock}", "").Replace(text)
}

// Query is that of [SQLite.Query].
func (PostgreSQL) Query(text string) string {
	return parameter.ReplaceAllString(strings.NewReplacer("{now}", postgresClock, "{lock}", " FOR UPDATE").Replace(text), "$$$1")
}
