package leasetest

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/runnelhq/runnel/lease"
)

// at has writers write in one instant, and returns their answers, one for each row.
func at(writers ...func() []error) [][]error {
	answers := make([][]error, len(writers))
	var wg sync.WaitGroup
	for i, write := range writers {
		wg.Go(func() { answers[i] = write() })
	}
	wg.Wait()
	return answers
}

// turned is writers, the last of them first in every other round: the one that is started last often runs first.
func turned[T any](round int, pair [2]T) [2]T {
	if round%2 == 1 {
		pair[0], pair[1] = pair[1], pair[0]
	}
	return pair
}

// won tells for one of n rows whether its write was done; the answer must be that or a conflict.
func (s *scene) won(what string, errs []error, i, n int) bool {
	s.Helper()
	if errs == nil {
		return true
	}
	if len(errs) != n || errs[i] != nil && !errors.Is(errs[i], lease.ErrConflict) {
		s.Fatalf("%s of %d rows, in a race: %v; want nil, or nil or lease.ErrConflict for each row", what, n, errs)
	}
	return errs[i] == nil
}

// raceRemoveCreate has one delete a row and another create it: the deletion is done, and the creation if it came after.
func raceRemoveCreate(s *scene) {
	s.ready()
	for n, row := range s.numbered("a/", rounds) {
		s.put(row)
		again := row
		again.Value = []byte(`"again"`)
		old := lease.Row{Key: row.Key, Version: 1}
		order := turned(n, [2]int{0, 1})
		writers := [2]func() []error{
			func() []error { return s.store.Delete(s.Context(), []lease.Row{old}) },
			func() []error { return s.store.Put(s.Context(), []lease.Row{again}) },
		}
		answers := at(writers[order[0]], writers[order[1]])
		if !s.won("Delete", answers[order[0]], 0, 1) {
			s.Fatalf("%s: deleting version 1 is a conflict while another tries to create the row; nobody wrote over version 1", row.Key)
		}
		if s.won("Put", answers[order[1]], 0, 1) {
			s.holds(again, 1)
		} else {
			s.absent(row.Key)
		}
	}
}

// raceTwoRemoves has two delete a row: one does.
func raceTwoRemoves(s *scene) {
	s.ready()
	for _, row := range s.numbered("a/", rounds) {
		s.put(row)
		row.Version = 1
		s.race([]lease.Row{row, row}, func(int) func(context.Context, []lease.Row) []error { return s.store.Delete })
		s.absent(row.Key)
		row.Version = 0
		s.put(row) // from the beginning
		s.holds(row, 1)
	}
}

// raceMany has two write the same rows in one call each, in opposing orders: each row has one winner.
func raceMany(s *scene) {
	s.ready()
	s.raceRows(25, func(others []lease.Row) []lease.Row {
		slices.Reverse(others)
		return others
	})
}

// raceOneAndMany has one write a row among many that another writes.
func raceOneAndMany(s *scene) {
	s.ready()
	s.raceRows(25, func(others []lease.Row) []lease.Row { return others[12:13] })
}

// raceRows has two writers race for each version of n rows, the second for those that it chooses.
func (s *scene) raceRows(n int, choose func([]lease.Row) []lease.Row) {
	s.Helper()
	for version := range uint64(rounds / 5) {
		var rows, others []lease.Row
		for _, row := range s.numbered("a/", n) {
			row = s.row(row.Key[len(s.root):], version)
			rows = append(rows, row)
			row.Value = append(slices.Clone(row.Value), ' ')
			others = append(others, row)
		}
		others = choose(others)
		order := turned(int(version), [2]int{0, 1}) //nolint:gosec // a handful
		written := [2][]lease.Row{rows, others}
		puts := func(rows []lease.Row) func() []error {
			return func() []error { return s.store.Put(s.Context(), rows) }
		}
		answers := at(puts(written[order[0]]), puts(written[order[1]]))
		winners := map[string][]lease.Row{}
		for i, which := range order {
			for j, row := range written[which] {
				if s.won("Put", answers[i], j, len(written[which])) {
					winners[row.Key] = append(winners[row.Key], row)
				}
			}
		}
		for i, stored := range s.get(keysOf(rows)...) {
			won := winners[stored.Key]
			if len(won) != 1 {
				s.Fatalf("%s: %d of two writers of several rows won version %d; want one", rows[i].Key, len(won), version)
			}
			if stored.Version != version+1 || string(stored.Value) != string(won[0].Value) {
				s.Fatalf("%s has version %d and value %s; want %d and the winner's %s", stored.Key, stored.Version, brief(stored.Value), version+1, brief(won[0].Value))
			}
		}
	}
}
