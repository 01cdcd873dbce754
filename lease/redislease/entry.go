package redislease

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/runnelhq/runnel/lease"
)

// cursorWidth is the width of all cursors, so that they sort as their numbers do.
const cursorWidth = 16

// parseCursor reads a cursor. What is none of this store's, "" among it, comes before every change.
func parseCursor(cursor string) int64 {
	n, err := strconv.ParseInt(cursor, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// decode makes the row of an entry, "version cursor value". One that cannot be read is a row with an error, which wraps lease.ErrRow and names the key of Redis.
func (s *Store) decode(p place, entry string) lease.Row {
	row := lease.Row{Key: p.group + p.name}
	version, rest, _ := strings.Cut(entry, " ")
	cursor, value, ok := strings.Cut(rest, " ")
	number, err := strconv.ParseUint(version, 10, 64)
	if ok && err == nil && number > 0 && version[0] != '0' && version[0] != '+' && digits(cursor) && len(cursor) == cursorWidth {
		row.Version, row.Cursor, row.Value = number, cursor, []byte(value)
		return row
	}
	rows, _ := s.groupKeys(p)
	row.Version = max(1, number)
	row.Err = fmt.Errorf("redislease: field %q of %q: %w: it begins with %.40q; want a hash's field of a version, a cursor of %d digits and a value: correct it by hand, as the package's documentation says",
		p.name, rows, lease.ErrRow, entry, cursorWidth)
	return row
}

func digits(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r < '0' || r > '9' }) < 0
}
