package sqllease

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/runnelhq/runnel/lease"
)

// place is where a row is: a key in its parts.
type place struct{ group, name string }

// split cuts a key.
func split(key string) (place, error) {
	i := strings.LastIndexByte(key, '/') + 1
	p := place{key[:i], key[i:]}
	switch {
	case p.group == "" || p.name == "":
		return place{}, errors.New("a key is a group that ends in a slash, and a name")
	case !utf8.ValidString(key) || strings.ContainsRune(key, 0):
		return place{}, errors.New("a key is UTF-8 without zero bytes")
	}
	return p, nil
}

// check refuses a row that no table can hold.
func check(row lease.Row) error {
	if _, err := split(row.Key); err != nil {
		return err
	}
	switch {
	case !utf8.Valid(row.Value) || bytes.ContainsRune(row.Value, 0):
		return errors.New("the value is not UTF-8 without zero bytes, so not JSON")
	case row.Version >= math.MaxInt64:
		return errors.New("its versions are used up")
	}
	return nil
}

// formatCursor writes a count as a cursor. All have one width, so that they sort as the counts do.
func formatCursor(count int64) string { return fmt.Sprintf("%019d", count) }

// parseCursor reads a cursor back. What is none of this store's, "" among it, comes before every change.
func parseCursor(cursor string) (count int64, ok bool) {
	count, err := strconv.ParseInt(cursor, 10, 64)
	return count, err == nil
}

// columns are those of a stored row, as the driver gives them.
type columns struct{ group, name, version, cursor, value any }

// decode makes the row. One that cannot be read is a row with an error, which wraps lease.ErrRow and names the table and the key.
func (s *Store) decode(c columns) lease.Row {
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	text := func(column string, v any) string {
		t, ok := v.(string)
		if !ok {
			fault("column %s is %s; want TEXT", column, kind(v))
		} else if !utf8.ValidString(t) {
			fault("column %s is not UTF-8", column)
		}
		return t
	}
	count := func(column string, v any) int64 {
		n, ok := v.(int64)
		if !ok {
			fault("column %s is %s; want INTEGER", column, kind(v))
		} else if n < 1 {
			fault("column %s is %d; want 1 or more", column, n)
		}
		return max(1, n)
	}
	group, name := text("grp", c.group), text("name", c.name)
	row := lease.Row{
		Key:     group + name,
		Version: uint64(count("version", c.version)), //nolint:gosec // 1 or more
		Cursor:  formatCursor(count("cursor", c.cursor)),
		Value:   []byte(text("value", c.value)),
	}
	if name == "" || strings.Contains(name, "/") {
		fault("column name is %q; want a name without a slash", name)
	}
	if faults != nil {
		row.Value = nil
		row.Err = fmt.Errorf("sqllease: table %q: row %q: %w: %s: correct it by hand, as the package's documentation says",
			s.cfg.Table, row.Key, lease.ErrRow, strings.Join(faults, "; "))
	}
	return row
}

// kind names the type of a stored value as SQL does.
func kind(v any) string {
	switch v.(type) {
	case nil:
		return "NULL"
	case string:
		return "TEXT"
	case int64:
		return "INTEGER"
	case float64:
		return "REAL"
	case []byte:
		return "BLOB"
	}
	return fmt.Sprintf("a %T", v)
}

// What a conflict finds.
const absent = "it does not exist"

func present(version int64) string { return fmt.Sprintf("it has version %d", version) }
