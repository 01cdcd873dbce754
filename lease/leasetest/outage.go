package leasetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/lease"
)

// patience is the limit of a call whose answer may not come.
const patience = 300 * time.Millisecond

// write is one whose answer may not say what became of the row.
type write struct {
	before lease.Row // as it was read; of version 0 if there was none
	row    lease.Row // as it was to be
	remove bool
	err    error // the answer
}

func (w write) String() string {
	what := "update"
	switch {
	case w.remove:
		what = "delete"
	case w.before.Version == 0:
		what = "create"
	}
	return fmt.Sprintf("%s of %q at version %d, answered with %v", what, w.row.Key, w.before.Version, w.err)
}

// kinds are the writes that a row can suffer, of rows in the group.
func (s *scene) kinds(group string) []write {
	create := write{row: s.row(group+"create", 0)}
	update := write{before: s.row(group+"update", 0), row: s.row(group+"update", 1)}
	keep := write{before: s.row(group+"keep", 0), row: s.row(group+"keep", 1)}
	remove := write{before: s.row(group+"remove", 0), row: s.row(group+"remove", 1), remove: true}
	writes := []write{create, update, keep, remove}
	for i := range writes {
		w := &writes[i]
		if w.row.Version == 0 {
			w.before.Key = w.row.Key
			continue
		}
		if errs := s.direct.Put(s.Context(), []lease.Row{w.before}); errs != nil {
			s.Fatalf("Put of %q on the sound way: %v", w.before.Key, errs)
		}
		w.before = s.held(w.row.Key)
		if w.row.Key == keep.row.Key {
			w.row.Cursor = w.before.Cursor
		}
	}
	return writes
}

// held is what the service holds of a row.
func (s *scene) held(key string) lease.Row {
	s.Helper()
	rows, err := s.direct.Get(s.Context(), []string{key})
	if err != nil || len(rows) != 1 {
		s.Fatalf("Get of %q on the sound way: %v, %v", key, rows, err)
	}
	return rows[0]
}

// tries has w sent, and notes the answer.
func (s *scene) tries(ctx context.Context, w *write) {
	s.Helper()
	call, what := s.store.Put, "Put"
	if w.remove {
		call, what = s.store.Delete, "Delete"
	}
	errs := []error{nil}
	_ = s.inTime(what, func() error {
		if answers := call(ctx, []lease.Row{w.row}); answers != nil {
			errs = answers
		}
		return nil
	})
	if len(errs) != 1 {
		s.Fatalf("%s of one row has %d errors", what, len(errs))
	}
	w.err = errs[0]
}

// briefly has w sent under a context of [patience].
func (s *scene) briefly(w *write) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	s.tries(ctx, w)
}

// did tells whether w is what made row.
func (w write) did(row lease.Row) bool {
	if w.remove {
		return row.Version == 0
	}
	return row.Version == w.before.Version+1 && string(row.Value) == string(w.row.Value) && (w.row.Cursor == "" || row.Cursor == w.row.Cursor)
}

// undid tells whether row is as if w had not been.
func (w write) undid(row lease.Row) bool {
	return row.Version == w.before.Version && string(row.Value) == string(w.before.Value) && row.Cursor == w.before.Cursor
}

// settled wants the row of w, that nobody else writes, to be as before or as w has it, and the answer to fit. A write that may still arrive is overtaken.
func (s *scene) settled(w write) {
	s.Helper()
	for {
		switch row := s.held(w.row.Key); {
		case w.did(row):
			return
		case !w.undid(row):
			s.Fatalf("%v: the row has version %d, cursor %q and value %s; want it as it was, or as it was to be", w, row.Version, row.Cursor, brief(row.Value))
		case w.err == nil:
			s.Fatalf("%v: the row is as it was", w)
		case errors.Is(w.err, lease.ErrConflict):
			s.Fatalf("%v: the row is as it was, and nobody else wrote it", w)
		default:
			over := row
			over.Value = []byte(`"over"`)
			errs := s.direct.Put(s.Context(), []lease.Row{over})
			if errs == nil {
				return
			}
			if !errors.Is(errs[0], lease.ErrConflict) {
				s.Fatalf("Put of %q on the sound way: %v", over.Key, errs)
			}
		}
	}
}

// unanswered wants every call to fail in time, and none to say of a row what it cannot know.
func (s *scene) unanswered(group string, fault Fault) {
	s.Helper()
	writes := s.kinds(group)
	s.line.Set(fault)
	for i := range writes {
		s.briefly(&writes[i])
		switch err := writes[i].err; {
		case err == nil:
			s.Fatalf("%v, on a line that is %v; want an error", writes[i], fault)
		case errors.Is(err, lease.ErrConflict):
			s.Fatalf("%v, on a line that is %v; want another error, for nothing was compared", writes[i], fault)
		}
	}
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	if err := s.inTime("Get", func() error { _, err := s.store.Get(ctx, []string{writes[1].row.Key}); return err }); err == nil {
		s.Fatalf("Get on a line that is %v: no error", fault)
	}
	for _, after := range []string{"", writes[1].before.Cursor} {
		if err := s.inTime("List", func() error { return s.listing(ctx, s.key(group), after) }); err == nil {
			s.Fatalf("List after %q on a line that is %v: no error", after, fault)
		}
	}
	if err := s.inTime("Setup", func() error { return s.store.Setup(ctx) }); errors.Is(err, lease.ErrTable) || errors.Is(err, lease.ErrDenied) {
		s.Fatalf("Setup on a line that is %v: %v; want an error that does not blame the storage or the caller", fault, err)
	}
	for _, w := range writes {
		s.settled(w)
	}
}

// listing is the error of a listing.
func (s *scene) listing(ctx context.Context, group, after string) (err error) {
	for _, err = range s.store.List(ctx, group, after) {
	}
	return err
}

// recovers wants the store to do its work again soon after the line does.
func (s *scene) recovers() {
	s.Helper()
	s.line.Set(None)
	n := 0
	s.eventually(func() string {
		n++
		row := s.row(fmt.Sprintf("back/%d", n), 0)
		if errs := s.store.Put(s.Context(), []lease.Row{row}); errs != nil {
			return fmt.Sprintf("Put: %v", errs)
		}
		if rows, err := s.store.Get(s.Context(), []string{row.Key}); err != nil || len(rows) != 1 || rows[0].Version != 1 {
			return fmt.Sprintf("Get: %v, %v", rows, err)
		}
		if err := s.listing(s.Context(), s.key("back/"), ""); err != nil {
			return fmt.Sprintf("List: %v", err)
		}
		row.Version = 1
		if errs := s.store.Delete(s.Context(), []lease.Row{row}); errs != nil {
			return fmt.Sprintf("Delete: %v", errs)
		}
		return ""
	}, "the store, after its line is sound again")
}

// outages are how often a store is gone and back.
const outages = 2

func gone(s *scene) {
	s.ready()
	for i := range outages {
		s.unanswered(fmt.Sprintf("gone%d/", i), Cut)
		s.recovers()
	}
	s.interrupted("while/", Cut)
}

func throttled(s *scene) {
	s.ready()
	s.unanswered("refused/", Throttled)
	s.recovers()
	s.interrupted("while/", Throttled)
}

// interrupted has the line fail while a write is under way, and be sound again before the caller gives up.
func (s *scene) interrupted(group string, fault Fault) {
	s.Helper()
	for i := range outages {
		for _, w := range s.kinds(fmt.Sprintf("%s%d/", group, i)) {
			ctx, cancel := context.WithTimeout(s.Context(), 4*patience)
			var wg sync.WaitGroup
			wg.Go(func() { s.tries(ctx, &w) })
			_ = backoff.Wait(ctx, rand.N(3*time.Millisecond)) // the time of a write, so that it fails at any point
			s.line.Set(fault)
			_ = backoff.Wait(ctx, 50*time.Millisecond)
			s.line.Set(None)
			wg.Wait()
			cancel()
			s.settled(w)
		}
	}
	s.recovers()
}

func lost(s *scene) {
	s.ready()
	for _, w := range s.kinds("all/") {
		s.line.Set(Lost)
		s.briefly(&w)
		if w.err == nil {
			s.Fatalf("%v, and the answer was lost; want an error", w)
		}
		s.settled(w)
		s.recovers()
	}
	s.interrupted("one/", Lost)
}

// late has somebody else write while a write is on its way. What then arrives must not undo it.
func late(s *scene) {
	s.ready()
	for _, w := range s.kinds("overtaken/") {
		other := w.before
		other.Value = []byte(`"the other's"`)
		s.overtaken(w, other.Version+1, func() []error { return s.direct.Put(s.Context(), []lease.Row{other}) })
	}
	for _, w := range s.kinds("gone/")[1:] {
		s.overtaken(w, 0, func() []error { return s.direct.Delete(s.Context(), []lease.Row{w.before}) })
	}
	for _, w := range s.kinds("alone/") {
		s.line.Set(Late)
		s.briefly(&w)
		s.line.Set(None)
		s.settled(w)
		s.recovers()
	}
}

// overtaken sends w late, after others wrote the row, and wants theirs to stand.
func (s *scene) overtaken(w write, version uint64, others func() []error) {
	s.Helper()
	s.line.Set(Late)
	s.briefly(&w)
	if w.err == nil || errors.Is(w.err, lease.ErrConflict) {
		s.Fatalf("%v, and it was still on its way; want another error", w)
	}
	if errs := others(); errs != nil {
		s.Fatalf("%v; the sound way says %v to another's write: want it done, for nothing has arrived", w, errs)
	}
	s.line.Set(None)
	s.recovers()
	if row := s.held(w.row.Key); row.Version != version || version > 0 && string(row.Value) == string(w.row.Value) {
		s.Fatalf("%v, and it arrived after another's: the row has version %d and value %s; want the other's, version %d", w, row.Version, brief(row.Value), version)
	}
}

// slow wants all that works on a quick line, and an end in time.
func slow(s *scene) {
	s.ready()
	rows := s.numbered("a/", 3)
	s.line.Set(Slow)
	s.put(rows...)
	for _, row := range rows {
		s.holds(row, 1)
	}
	s.lists(s.key("a/"), keysOf(rows)...)
	contenders := s.contenders("a/000", 1)
	winner := s.race(contenders, func(int) func(context.Context, []lease.Row) []error { return s.store.Put })
	s.holds(contenders[winner], 2)
	rows[1].Version = 1
	if err := s.one(s.store.Delete, rows[1]); err != nil {
		s.Fatalf("Delete on a slow line: %v", err)
	}
	s.absent(rows[1].Key)
	for _, w := range s.kinds("brief/") {
		ctx, cancel := context.WithTimeout(s.Context(), SlowBy/2)
		s.tries(ctx, &w)
		cancel()
		s.settled(w)
	}
	s.recovers()
}
