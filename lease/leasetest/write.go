package leasetest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/runnelhq/runnel/lease"
)

const (
	racers = 4
	rounds = 40
)

func setup(s *scene) {
	const workers = 8
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() { errs[i] = s.store.Setup(s.Context()) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		s.Fatalf("Setup by %d workers in one instant: %v", workers, err)
	}
	row := s.row("a/row", 0)
	s.put(row)
	if err := s.store.Setup(s.Context()); err != nil {
		s.Fatalf("Setup of storage that is there: %v", err)
	}
	s.holds(row, 1)
}

func create(s *scene) {
	s.ready()
	row := s.row("a/row", 0)
	s.absent(row.Key)
	s.put(row)
	s.holds(row, 1)
	again := row
	again.Value = []byte(`"again"`)
	s.conflict("creating a row that exists", s.store.Put, again)
	s.holds(row, 1)
}

func update(s *scene) {
	s.ready()
	absent := s.row("a/absent", 3)
	s.conflict("updating a row that does not exist", s.store.Put, absent)
	s.absent(absent.Key)
	for version := range uint64(3) {
		s.put(s.row("a/row", version))
	}
	stored := s.row("a/row", 2)
	cursor := s.holds(stored, 3).Cursor
	for _, version := range []uint64{2, 4} {
		row := s.row("a/row", version)
		s.conflict(fmt.Sprintf("updating a row of version 3 from %d", version), s.store.Put, row)
		row.Cursor = cursor
		s.conflict(fmt.Sprintf("updating a row of version 3 from %d, and keeping its cursor", version), s.store.Put, row)
	}
	s.holds(stored, 3)
	s.put(s.row("a/row", 3))
	s.holds(s.row("a/row", 3), 4)
}

func remove(s *scene) {
	s.ready()
	row := s.row("a/row", 0)
	if err := s.one(s.store.Delete, row); err != nil {
		s.Fatalf("deleting nothing at version 0: %v", err)
	}
	s.conflict("deleting version 1 of a row that does not exist", s.store.Delete, s.row("a/row", 1))
	s.put(row)
	s.put(s.row("a/row", 1))
	stored := s.row("a/row", 1)
	s.conflict("deleting a row of version 2 at 0", s.store.Delete, s.row("a/row", 0))
	s.conflict("deleting a row of version 2 at 1", s.store.Delete, s.row("a/row", 1))
	s.conflict("deleting a row of version 2 at 3", s.store.Delete, s.row("a/row", 3))
	s.holds(stored, 2)
	if err := s.one(s.store.Delete, lease.Row{Key: row.Key, Version: 2}); err != nil {
		s.Fatalf("deleting a row of version 2 at 2: %v", err)
	}
	s.absent(row.Key)
	s.conflict("updating a deleted row", s.store.Put, s.row("a/row", 2))
	s.put(row)
	s.holds(row, 1)
}

// race has writers apply their write to their row in one instant, and wants one of them to win and the others to be told.
func (s *scene) race(rows []lease.Row, write func(i int) func(context.Context, []lease.Row) []error) (winner int) {
	s.Helper()
	answers := make([][]error, len(rows))
	var wg sync.WaitGroup
	for i, row := range rows {
		wg.Go(func() { answers[i] = write(i)(s.Context(), []lease.Row{row}) })
	}
	wg.Wait()
	winner = -1
	for i, errs := range answers {
		switch {
		case errs == nil && winner >= 0:
			s.Fatalf("%s: two writers of version %d were told that they won", rows[i].Key, rows[i].Version)
		case errs == nil:
			winner = i
		case len(errs) != 1 || !errors.Is(errs[0], lease.ErrConflict):
			s.Fatalf("%s: a writer that lost version %d was told %v; want lease.ErrConflict", rows[i].Key, rows[i].Version, errs)
		}
	}
	if winner < 0 {
		s.Fatalf("%s: nobody won version %d", rows[0].Key, rows[0].Version)
	}
	return winner
}

// contenders are rows that want to write the same version of a row.
func (s *scene) contenders(path string, version uint64) []lease.Row {
	rows := make([]lease.Row, racers)
	for i := range rows {
		rows[i] = s.row(path, version)
		rows[i].Value = append(rows[i].Value, "          "[:i]...) // white space: still JSON, and tells them apart
	}
	return rows
}

func raceCreates(s *scene) {
	s.ready()
	for _, row := range s.numbered("a/", rounds) {
		rows := s.contenders(row.Key[len(s.root):], 0)
		winner := s.race(rows, func(int) func(context.Context, []lease.Row) []error { return s.store.Put })
		s.holds(rows[winner], 1)
	}
}

func raceUpdates(s *scene) {
	s.ready()
	for version := range uint64(rounds) {
		rows := s.contenders("a/row", version)
		winner := s.race(rows, func(int) func(context.Context, []lease.Row) []error { return s.store.Put })
		s.holds(rows[winner], version+1)
	}
}

func raceRemoves(s *scene) {
	s.ready()
	for n, row := range s.numbered("a/", rounds) {
		s.put(row)
		rows := s.contenders(row.Key[len(s.root):], 1)[:2]
		remover := n % 2 // each begins first now and then
		winner := s.race(rows, func(i int) func(context.Context, []lease.Row) []error {
			if i == remover {
				return s.store.Delete
			}
			return s.store.Put
		})
		if winner == remover {
			s.absent(row.Key)
		} else {
			s.holds(rows[winner], 2)
		}
	}
}

func putMany(s *scene) {
	s.ready()
	const unlucky = 41
	rows := s.numbered("a/", 60)
	other := rows[unlucky]
	other.Value = []byte(`"first"`)
	s.put(other)
	s.oneConflict("Put", s.store.Put(s.Context(), rows), len(rows), unlucky)
	for i, row := range rows {
		if i == unlucky {
			row = other
		}
		s.holds(row, 1)
	}
}

func removeMany(s *scene) {
	s.ready()
	const unlucky = 17
	rows := s.numbered("a/", 60)
	s.put(rows...)
	rows[unlucky].Version = 1
	s.put(rows[unlucky])
	for i := range rows {
		rows[i].Version = 1
	}
	s.oneConflict("Delete", s.store.Delete(s.Context(), rows), len(rows), unlucky)
	for i, row := range s.get(keysOf(rows)...) {
		switch {
		case i == unlucky && row.Version != 2:
			s.Fatalf("%s has version %d; want 2, for its delete was a conflict", row.Key, row.Version)
		case i != unlucky && row.Version != 0:
			s.Fatalf("%s is there; want it gone though another row's delete was a conflict", row.Key)
		}
	}
}

// oneConflict wants errs to be a conflict of one row, and nil for each of the others.
func (s *scene) oneConflict(what string, errs []error, rows, unlucky int) {
	s.Helper()
	if len(errs) != rows {
		s.Fatalf("%s of %d rows, one of them a conflict, has %d errors; want one for each row", what, rows, len(errs))
	}
	for i, err := range errs {
		switch {
		case i == unlucky && !errors.Is(err, lease.ErrConflict):
			s.Fatalf("%s: row %d has the error %v; want lease.ErrConflict", what, i, err)
		case i != unlucky && err != nil:
			s.Fatalf("%s: row %d has the error %v; want nil, for only row %d is a conflict", what, i, err, unlucky)
		}
	}
}

func emptyInputs(s *scene) {
	s.ready()
	if errs := s.store.Put(s.Context(), nil); len(errs) != 0 {
		s.Fatalf("Put of nothing: %v", errs)
	}
	if errs := s.store.Delete(s.Context(), nil); len(errs) != 0 {
		s.Fatalf("Delete of nothing: %v", errs)
	}
	if rows, err := s.store.Get(s.Context(), nil); len(rows) != 0 || err != nil {
		s.Fatalf("Get of nothing: %v, %v", rows, err)
	}
	if rows := s.list(s.key("nobody/"), ""); len(rows) != 0 {
		s.Fatalf("List of a group without rows: %v", keysOf(rows))
	}
}

// ended tests that a context which is over costs an error and no wait. Whether the write was applied is not said.
func ended(s *scene) {
	s.ready()
	row := s.row("a/row", 0)
	s.put(row)
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	if err := s.inTime("Setup", func() error { return s.store.Setup(ctx) }); err == nil {
		s.Errorf("Setup under a context that is over: no error")
	}
	if err := s.inTime("Get", func() error { _, err := s.store.Get(ctx, []string{row.Key}); return err }); err == nil {
		s.Errorf("Get under a context that is over: no error")
	}
	err := s.inTime("List", func() error {
		var last error
		for _, err := range s.store.List(ctx, s.key("a/"), "") {
			if last != nil {
				s.Errorf("List goes on after it yielded an error: the error comes last")
			}
			last = err
		}
		return last
	})
	if err == nil {
		s.Errorf("List under a context that is over: no error")
	}
	for what, write := range map[string]func(context.Context, []lease.Row) []error{"Put": s.store.Put, "Delete": s.store.Delete} {
		rows := s.numbered("b/", 20)
		var errs []error
		_ = s.inTime(what, func() error { errs = write(ctx, rows); return nil })
		if len(errs) != len(rows) {
			s.Fatalf("%s of %d rows under a context that is over has %d errors; want one for each row", what, len(rows), len(errs))
		}
		for i, err := range errs {
			if err == nil || errors.Is(err, lease.ErrConflict) {
				s.Errorf("%s: row %d has the error %v under a context that is over; want one, and not a conflict", what, i, err)
			}
		}
	}
}
