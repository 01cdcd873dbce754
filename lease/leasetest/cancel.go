package leasetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/runnelhq/runnel/lease"
)

// cancels is how often each call is cancelled while it is under way.
const cancels = 12

// cancelWrites ends the contexts of writes under way. Whether they are done is not said, but no row is left between.
func cancelWrites(s *scene) {
	s.ready()
	s.direct = s.store
	begun := time.Now()
	s.put(s.row("a/row", 0))
	typical := time.Since(begun)
	for n := range cancels {
		for _, w := range s.kinds(fmt.Sprintf("%d/", n)) {
			ctx, stop := s.cancelledIn(typical)
			s.tries(ctx, &w)
			stop()
			s.settled(w)
		}
		s.cancelMany(fmt.Sprintf("many%d/", n), time.Duration(1+2*(n%2))*typical) // rows may be written one by one
	}
}

// cancelledIn is a context that ends at an instant within twice that time.
func (s *scene) cancelledIn(typical time.Duration) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(s.Context())
	timer := time.AfterFunc(rand.N(2*typical+1), cancel)
	return ctx, func() {
		timer.Stop()
		cancel()
	}
}

// cancelMany ends the context of a Put of several rows.
func (s *scene) cancelMany(group string, typical time.Duration) {
	s.Helper()
	rows := s.numbered(group, 10)
	ctx, stop := s.cancelledIn(typical)
	defer stop()
	var errs []error
	_ = s.inTime("Put", func() error { errs = s.store.Put(ctx, slices.Clone(rows)); return nil })
	if errs == nil {
		errs = make([]error, len(rows))
	}
	if len(errs) != len(rows) {
		s.Fatalf("Put of %d rows, whose context ends, has %d errors; want one for each row", len(rows), len(errs))
	}
	for i, row := range rows {
		s.settled(write{before: lease.Row{Key: row.Key}, row: row, err: errs[i]})
	}
}

// cancelReads ends the contexts of reads under way: they have an error, or all that was asked for.
func cancelReads(s *scene) {
	s.ready()
	rows := s.numbered("a/", 6)
	for i := range rows {
		rows[i].Value = []byte(`"` + strings.Repeat(string(rune('a'+i)), 300*1024) + `"`)
	}
	s.put(rows...)
	begun := time.Now()
	s.get(keysOf(rows)...)
	typical := time.Since(begun)
	for range cancels {
		ctx, stop := s.cancelledIn(typical)
		var got []lease.Row
		if err := s.inTime("Get", func() (err error) { got, err = s.store.Get(ctx, keysOf(rows)); return err }); err == nil {
			s.complete("Get", got, rows)
		}
		stop()
	}
	oldest := slices.MinFunc(s.get(keysOf(rows)...), func(a, b lease.Row) int { return strings.Compare(a.Cursor, b.Cursor) }).Cursor
	s.lists(s.key("a/"), keysOf(rows)...)
	for _, after := range []string{"", oldest} {
		begun = time.Now()
		whole := s.list(s.key("a/"), after)
		typical = time.Since(begun)
		for n := range cancels {
			ctx, stop := s.cancelledIn(typical)
			var got []lease.Row
			err := s.inTime("List", func() error {
				for row, err := range s.store.List(ctx, s.key("a/"), after) {
					if err != nil {
						return err
					}
					if got = append(got, row); len(got) == n%len(rows) {
						stop()
					}
				}
				return nil
			})
			stop()
			slices.SortFunc(got, func(a, b lease.Row) int { return strings.Compare(a.Key, b.Key) })
			if err == nil {
				s.complete(fmt.Sprintf("List after %q", after), got, whole)
			}
		}
	}
}

// complete wants what a call without an error has, though its context ended.
func (s *scene) complete(what string, got, want []lease.Row) {
	s.Helper()
	if len(got) != len(want) {
		s.Fatalf("%s, whose context ended, has %d of %d rows and no error", what, len(got), len(want))
	}
	for i, row := range got {
		if row.Key != want[i].Key || row.Version != 1 || string(row.Value) != string(want[i].Value) {
			s.Fatalf("%s, whose context ended, has no error, and for %s version %d and value %s", what, want[i].Key, row.Version, brief(row.Value))
		}
	}
}
