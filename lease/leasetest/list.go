package leasetest

import (
	"fmt"
	"slices"

	"github.com/runnelhq/runnel/lease"
)

func cursors(s *scene) {
	s.ready()
	row := s.row("a/row", 0)
	s.put(row)
	created := s.holds(row, 1).Cursor
	if created == "" {
		s.Fatalf("a row created with an empty cursor has none; want a stamp")
	}
	kept := s.row("a/row", 1)
	kept.Cursor = created
	s.put(kept)
	if got := s.holds(kept, 2).Cursor; got != created {
		s.Fatalf("a row written with the cursor that it had, %q, has %q", created, got)
	}
	stamped := s.row("a/row", 2)
	s.put(stamped)
	if got := s.holds(stamped, 3).Cursor; got == "" || got == created {
		s.Fatalf("a row written with an empty cursor has %q and had %q; want a new stamp", got, created)
	}
}

// listGroup has groups beside each other whose names are easily taken for one another.
func listGroup(s *scene) {
	s.ready()
	groups := []string{
		"a/S/", "a/S/1/", "a/S/11/", "a/S/1/2/", "a/S/1x/", "a/s/1/", "A/S/1/", "xa/S/1/", // prefixes, suffixes and case
		"b_/", "bb/", "b%/", "bcc/", "b*/", "b?/", "b[b]/", `b\/`, // patterns of a database's search
	}
	var rows []lease.Row
	for _, group := range groups {
		rows = append(rows, s.numbered(group, 3)...)
	}
	rows = append(rows, s.row("a/S/1", 0)) // the name in one group is the next group
	s.put(rows...)
	for i, group := range groups {
		want := keysOf(rows[3*i : 3*i+3])
		if group == "a/S/" {
			want = append(want, s.key("a/S/1"))
		}
		s.lists(s.key(group), want...)
		after := s.get(want[0])[0].Cursor
		for _, row := range s.list(s.key(group), after) {
			if !slices.Contains(want, row.Key) {
				s.Fatalf("List of %q after %q has %q", s.key(group), after, row.Key)
			}
		}
	}
}

// listAfter changes a row and adds one after a cursor was taken.
func listAfter(s *scene) {
	s.ready()
	rows := s.numbered("a/", 5)
	for _, row := range rows {
		s.put(row)
	}
	s.lists(s.key("a/"), keysOf(rows)...)
	after := ""
	for _, row := range s.list(s.key("a/"), "") {
		after = max(after, row.Cursor)
	}
	changed, added := s.row("a/001", 1), s.row("a/new", 0)
	s.put(changed, added, s.row("a/neighbour/row", 0))
	want := s.get(changed.Key, added.Key)
	s.eventually(func() string {
		listed := s.list(s.key("a/"), after)
		var found []lease.Row
		for _, row := range listed {
			switch {
			case row.Key == changed.Key || row.Key == added.Key:
				found = append(found, row)
			case !slices.Contains(keysOf(rows), row.Key):
				return fmt.Sprintf("%q is of another group", row.Key)
			}
		}
		return difference(found, want)
	}, "List of %q after %q, when %q was changed and %q added", s.key("a/"), after, changed.Key, added.Key)
}

func listRemoved(s *scene) {
	s.ready()
	rows := s.numbered("a/", 3)
	s.put(rows...)
	s.lists(s.key("a/"), keysOf(rows)...)
	after := s.get(rows[0].Key)[0].Cursor
	rows[1].Version = 1
	if err := s.one(s.store.Delete, rows[1]); err != nil {
		s.Fatalf("Delete: %v", err)
	}
	s.lists(s.key("a/"), rows[0].Key, rows[2].Key)
	s.eventually(func() string {
		for _, row := range s.list(s.key("a/"), after) {
			if row.Key == rows[1].Key {
				return fmt.Sprintf("%q is listed", row.Key)
			}
		}
		return ""
	}, "List of %q after %q, when %q was deleted", s.key("a/"), after, rows[1].Key)
}

func listBreak(s *scene) {
	s.ready()
	rows := s.numbered("a/", 5)
	s.put(rows...)
	s.lists(s.key("a/"), keysOf(rows)...)
	after := s.get(rows[0].Key)[0].Cursor
	for _, cursor := range []string{"", after} {
		yielded := 0
		s.store.List(s.Context(), s.key("a/"), cursor)(func(lease.Row, error) bool {
			yielded++
			return false
		})
		if yielded > 1 {
			s.Fatalf("List after %q goes on after it was left", cursor)
		}
	}
	s.put(s.row("a/000", 1))
	s.holds(s.row("a/000", 1), 2)
}
