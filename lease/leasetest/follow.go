package leasetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/lease"
)

// someTime is what the "some seconds" are taken to be that [lease.Store] allows a listing to be behind.
const someTime = 3 * time.Second

const (
	authors    = 3
	writesFor  = someTime + 2*time.Second
	writePause = 20 * time.Millisecond
	looksEvery = 100 * time.Millisecond
)

// mark is a version of a row that was acknowledged.
type mark struct {
	version uint64
	at      time.Time
}

// chronicle is what the authors of a group were told.
type chronicle struct {
	mu      sync.Mutex
	written map[string][]mark // of each row, in order
	stamped map[string][]mark // those of them with a new cursor
	doomed  map[string]bool   // rows that may be gone
}

func (c *chronicle) add(key string, version uint64, stamped bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := mark{version, time.Now()}
	c.written[key] = append(c.written[key], m)
	if stamped {
		c.stamped[key] = append(c.stamped[key], m)
	}
}

// by is the version of each row, of those in marks, that was acknowledged by then.
func (c *chronicle) by(then time.Time, marks map[string][]mark) map[string]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	versions := map[string]uint64{}
	for key, ms := range marks {
		for _, m := range ms {
			if !m.at.After(then) && !c.doomed[key] {
				versions[key] = m.version
			}
		}
	}
	return versions
}

// missing tells which of those versions is not among the seen, "" if none.
func (c *chronicle) missing(seen, want map[string]uint64) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, version := range want {
		if seen[key] < version && !c.doomed[key] {
			return fmt.Sprintf("%q has version %d; want %d or higher", key, seen[key], version)
		}
	}
	return ""
}

// listWhileWritten has readers list a group in full, and by cursors, while authors write to it.
func listWhileWritten(s *scene) {
	s.ready()
	c := &chronicle{written: map[string][]mark{}, stamped: map[string][]mark{}, doomed: map[string]bool{}}
	ctx, stop := context.WithTimeout(s.Context(), writesFor)
	defer stop()
	first := s.row("a/first", 0)
	s.put(first)
	beginning := s.get(first.Key)[0].Cursor
	c.add(first.Key, 1, true)
	var wg sync.WaitGroup
	for i := range authors {
		wg.Go(func() { s.author(ctx, c, i) })
	}
	seen, cursor := map[string]uint64{}, ""
	wg.Go(func() {
		for look := 0; backoff.Wait(ctx, looksEvery) == nil; look++ {
			then := time.Now().Add(-someTime)
			all, changes := c.by(then, c.written), c.by(then, c.stamped)
			switch look % 3 {
			case 0:
				listed, _, err := s.look("", nil)
				s.wants(c, "List in full", err, listed, all)
			case 1:
				listed, _, err := s.look(beginning, map[string]uint64{first.Key: 1})
				s.wants(c, fmt.Sprintf("List after %q, the first cursor", beginning), err, listed, changes)
			default:
				var err error
				before := cursor
				seen, cursor, err = s.look(cursor, seen)
				s.wants(c, fmt.Sprintf("following cursors, up to List after %q", before), err, seen, changes)
			}
		}
	})
	wg.Wait()
	want := c.by(time.Now(), c.stamped)
	s.eventually(func() string {
		var err error
		if seen, cursor, err = s.look(cursor, seen); err != nil {
			return err.Error()
		}
		return c.missing(seen, want)
	}, "following cursors, when nobody writes any more")
}

// wants complains of a listing that has an error or lacks a version.
func (s *scene) wants(c *chronicle, what string, err error, seen, want map[string]uint64) {
	s.Helper()
	if err != nil {
		s.Errorf("%s, while others write: %v", what, err)
	} else if text := c.missing(seen, want); text != "" {
		s.Errorf("%s, while others write: %s, which was acknowledged %v before", what, text, someTime)
	}
}

// look lists after a cursor, and returns the highest versions that were seen, those of before among them, and the highest cursor.
func (s *scene) look(after string, before map[string]uint64) (seen map[string]uint64, cursor string, err error) {
	seen, cursor = maps.Clone(before), after
	if seen == nil {
		seen = map[string]uint64{}
	}
	for row, err := range s.store.List(s.Context(), s.key("a/"), after) {
		if err != nil {
			return seen, after, err
		}
		if want := s.row(row.Key[len(s.root):], row.Version-1); string(row.Value) != string(want.Value) {
			return seen, after, fmt.Errorf("%q is listed with version %d and value %s; want %s", row.Key, row.Version, brief(row.Value), brief(want.Value))
		}
		seen[row.Key] = max(seen[row.Key], row.Version)
		cursor = max(cursor, row.Cursor)
	}
	return seen, cursor, nil
}

// author creates, changes and deletes rows of its own until ctx ends.
func (s *scene) author(ctx context.Context, c *chronicle, number int) {
	var rows []lease.Row
	for n := 0; backoff.Wait(ctx, rand.N(writePause)) == nil; n++ {
		i := rand.IntN(len(rows) + 1)
		if len(rows) >= 60 {
			i = rand.IntN(len(rows))
		}
		if i == len(rows) {
			rows = append(rows, s.row(fmt.Sprintf("a/%d-%d", number, n), 0))
		}
		row := s.row(rows[i].Key[len(s.root):], rows[i].Version)
		if rand.IntN(10) < 4 {
			row.Cursor = rows[i].Cursor
		}
		if row.Version > 0 && rand.IntN(50) == 0 {
			c.mu.Lock()
			c.doomed[row.Key] = true
			c.mu.Unlock()
			if errs := s.store.Delete(s.Context(), []lease.Row{row}); errs != nil {
				s.Errorf("Delete of %q at version %d: %v", row.Key, row.Version, errors.Join(errs...))
				return
			}
			rows[i] = rows[len(rows)-1]
			rows = rows[:len(rows)-1]
			continue
		}
		if errs := s.store.Put(s.Context(), []lease.Row{row}); errs != nil {
			s.Errorf("Put of %q at version %d: %v", row.Key, row.Version, errors.Join(errs...))
			return
		}
		c.add(row.Key, row.Version+1, row.Cursor == "")
		read, err := s.store.Get(s.Context(), []string{row.Key})
		if err != nil || len(read) != 1 {
			s.Errorf("Get of %q: %v, %v", row.Key, read, err)
			return
		}
		rows[i] = read[0]
	}
}
