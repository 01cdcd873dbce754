package leasetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/lease"
)

// listLimit is when a listing must be as it should.
const listLimit = 20 * time.Second

// between two looks at a listing
var looks = backoff.Policy{Base: 20 * time.Millisecond, Cap: time.Second}

// scene is a case under way: a store, and keys that nobody else has.
type scene struct {
	tb

	store  lease.Store
	root   string
	direct lease.Store // of a case about faults: the same storage
	line   Line        // of a case about faults: the way of store
}

func newScene(t tb, store lease.Store) *scene {
	return &scene{tb: t, store: store, root: "leasetest-" + rand.Text() + "/"}
}

// ready sets the store up.
func (s *scene) ready() {
	s.Helper()
	if err := s.store.Setup(s.Context()); err != nil {
		s.Fatalf("Setup: %v", err)
	}
}

// key names a row of this scene: path is a group below the scene's, and a name.
func (s *scene) key(path string) string { return s.root + path }

// row makes a row to write, with a value that tells rows and versions apart.
func (s *scene) row(path string, version uint64) lease.Row {
	return lease.Row{Key: s.key(path), Version: version, Value: fmt.Appendf(nil, `{"row":%q,"version":%d}`, path, version+1)}
}

// numbered makes n rows to create in one group.
func (s *scene) numbered(group string, n int) []lease.Row {
	rows := make([]lease.Row, n)
	for i := range rows {
		rows[i] = s.row(fmt.Sprintf("%s%03d", group, i), 0)
	}
	return rows
}

// put writes rows and wants all of them written.
func (s *scene) put(rows ...lease.Row) {
	s.Helper()
	if errs := s.store.Put(s.Context(), rows); errs != nil {
		s.Fatalf("Put of %s: %v; want nil, for all were to be written", keysOf(rows), errs)
	}
}

// one applies write, which is Put or Delete, to one row and returns its error.
func (s *scene) one(write func(context.Context, []lease.Row) []error, row lease.Row) error {
	s.Helper()
	errs := write(s.Context(), []lease.Row{row})
	if errs == nil {
		return nil
	}
	if len(errs) != 1 || errs[0] == nil {
		s.Fatalf("%s at version %d: the answer to one row is %v; want nil or one error", row.Key, row.Version, errs)
	}
	return errs[0]
}

// conflict wants write to find another version.
func (s *scene) conflict(what string, write func(context.Context, []lease.Row) []error, row lease.Row) {
	s.Helper()
	if err := s.one(write, row); !errors.Is(err, lease.ErrConflict) {
		s.Fatalf("%s: %v; want lease.ErrConflict", what, err)
	}
}

// get reads rows and wants an answer to each.
func (s *scene) get(keys ...string) []lease.Row {
	s.Helper()
	rows, err := s.store.Get(s.Context(), keys)
	if err != nil {
		s.Fatalf("Get of %q: %v", keys, err)
	}
	if len(rows) != len(keys) {
		s.Fatalf("Get of %d keys has %d rows; want one for each key", len(keys), len(rows))
	}
	for i, row := range rows {
		if row.Key != keys[i] {
			s.Fatalf("Get: row %d is %q; want %q, as asked for", i, row.Key, keys[i])
		}
	}
	return rows
}

// holds wants the stored row to be row at version.
func (s *scene) holds(row lease.Row, version uint64) lease.Row {
	s.Helper()
	got := s.get(row.Key)[0]
	if got.Version != version {
		s.Fatalf("%s has version %d; want %d", row.Key, got.Version, version)
	}
	if string(got.Value) != string(row.Value) {
		s.Fatalf("%s has the value %s; want %s", row.Key, brief(got.Value), brief(row.Value))
	}
	return got
}

// absent wants no row.
func (s *scene) absent(key string) {
	s.Helper()
	if row := s.get(key)[0]; row.Version != 0 {
		s.Fatalf("%s has version %d; want no row, version 0", key, row.Version)
	}
}

// list reads a listing to its end.
func (s *scene) list(group, after string) []lease.Row {
	s.Helper()
	var rows []lease.Row
	for row, err := range s.store.List(s.Context(), group, after) {
		if err != nil {
			s.Fatalf("List of %q after %q: %v", group, after, err)
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b lease.Row) int { return strings.Compare(a.Key, b.Key) })
	return rows
}

// lists wants a full listing of group to become exactly want, as Get reads them.
func (s *scene) lists(group string, want ...string) {
	s.Helper()
	slices.Sort(want)
	rows := s.get(want...)
	s.eventually(func() string {
		return difference(s.list(group, ""), rows)
	}, "List of %q", group)
}

// eventually wants wrong to become "" within the limit for listings.
func (s *scene) eventually(wrong func() string, format string, args ...any) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), listLimit)
	defer cancel()
	for n := 1; ; n++ {
		text := wrong()
		if text == "" {
			return
		}
		if err := backoff.Wait(ctx, looks.Ceiling(n)); err != nil {
			s.Fatalf("%s, still after %v: %s", fmt.Sprintf(format, args...), listLimit, text)
		}
	}
}

// difference tells where sorted listings differ first, or is "".
func difference(got, want []lease.Row) string {
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got) || i < len(want) && want[i].Key < got[i].Key:
			return fmt.Sprintf("%q is missing", want[i].Key)
		case i >= len(want) || got[i].Key < want[i].Key:
			return fmt.Sprintf("%q does not belong there, or came twice", got[i].Key)
		case got[i].Version != want[i].Version || got[i].Cursor != want[i].Cursor || string(got[i].Value) != string(want[i].Value):
			return fmt.Sprintf("%q is listed with version %d, cursor %q, value %s, and read with %d, %q, %s", got[i].Key,
				got[i].Version, got[i].Cursor, brief(got[i].Value), want[i].Version, want[i].Cursor, brief(want[i].Value))
		}
	}
	return ""
}

func keysOf(rows []lease.Row) []string {
	keys := make([]string, len(rows))
	for i, row := range rows {
		keys[i] = row.Key
	}
	return keys
}

func brief(value []byte) string {
	if len(value) > 200 {
		return fmt.Sprintf("%q… (%d bytes)", value[:200], len(value))
	}
	return fmt.Sprintf("%q", value)
}
