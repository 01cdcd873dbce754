package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/runnelhq/runnel/lease"
)

// store is the rows. Each write and each read happens in an instant; what a network does to requests is link's.
type store struct {
	w      *world
	rows   map[string]*entry
	groups map[string][]string // the keys that a group ever had, sorted
	newest map[string]string   // the last cursor of each group
	stamps uint64

	history string
}

// entry is a row, deleted if its version is 0, and what it was before.
type entry struct {
	row  lease.Row
	past []version
}

// version is what a row was until an instant.
type version struct {
	row   lease.Row
	until time.Duration
}

// stalest is how old a listing may be.
const stalest = 1200 * time.Millisecond

func newStore(w *world) *store {
	return &store{w: w, rows: make(map[string]*entry), groups: make(map[string][]string), newest: make(map[string]string), history: "first"}
}

// get reads rows as they are now.
func (s *store) get(keys []string) []lease.Row {
	rows := make([]lease.Row, len(keys))
	for i, key := range keys {
		if e := s.rows[key]; e != nil {
			rows[i] = e.row
		}
		rows[i].Key = key
	}
	return rows
}

func (s *store) row(key string) lease.Row {
	if e := s.rows[key]; e != nil {
		return e.row
	}
	return lease.Row{Key: key}
}

// put writes a row if its version is the stored one.
func (s *store) put(by *process, row lease.Row) error {
	e := s.entry(row.Key)
	if e.row.Version != row.Version {
		return lease.ErrConflict
	}
	row.Version++
	if row.Cursor == "" {
		s.stamps++
		row.Cursor = fmt.Sprintf("%012d", s.stamps)
		s.newest[groupOf(row.Key)] = row.Cursor
	}
	s.write(by, e, row)
	return nil
}

// remove deletes a row if its version is the stored one.
func (s *store) remove(by *process, row lease.Row) error {
	e := s.entry(row.Key)
	if e.row.Version != row.Version {
		return lease.ErrConflict
	}
	s.write(by, e, lease.Row{Key: row.Key})
	return nil
}

func (s *store) write(by *process, e *entry, row lease.Row) {
	before := e.row
	e.past = slices.DeleteFunc(e.past, func(v version) bool { return v.until < s.w.now-stalest })
	e.past = append(e.past, version{before, s.w.now})
	e.row = row
	s.w.audit.written(by, before, row)
}

func groupOf(key string) string { return key[:len(key)-len(lastName(key))] }

func (s *store) entry(key string) *entry {
	e := s.rows[key]
	if e == nil {
		e = &entry{row: lease.Row{Key: key}}
		s.rows[key] = e
		group := groupOf(key)
		keys := s.groups[group]
		i, _ := slices.BinarySearchFunc(keys, key, strings.Compare)
		s.groups[group] = slices.Insert(keys, i, key)
	}
	return e
}

// list gives the rows of a group that were stamped after a cursor, each as it was at the instant that age says.
func (s *store) list(group, after string, age func() time.Duration) (rows []lease.Row, misled bool) {
	if s.w.weather.calm() && after != "" && after >= s.newest[group] {
		return nil, false // nothing changed, and no listing is old
	}
	for _, key := range s.groups[group] {
		e := s.rows[key]
		row := e.asOf(s.w.now - age())
		misled = misled || row.Version != e.row.Version
		if row.Version != 0 && row.Cursor > after {
			rows = append(rows, row)
		}
	}
	return rows, misled
}

func (e *entry) asOf(t time.Duration) lease.Row {
	for _, v := range e.past {
		if v.until > t {
			return v.row
		}
	}
	return e.row
}
