package sqllease_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/leasetest"
	"github.com/runnelhq/runnel/lease/sqllease"
)

func TestStoreConforms(t *testing.T) {
	t.Parallel()
	leasetest.Suite{
		New:    func(t *testing.T) lease.Store { return sqllease.New(open(t, newFile(t)), nil) },
		Faulty: newFaulty,
	}.Run(t)
}

// Two pools on one file, as two processes have them; calls go to either in turn.
func TestStoreOfTwoPoolsConforms(t *testing.T) {
	t.Parallel()
	leasetest.Run(t, func(t *testing.T) lease.Store {
		file := newFile(t)
		return &inTurn{stores: []lease.Store{sqllease.New(open(t, file), nil), sqllease.New(open(t, file), nil)}}
	})
}

// A caller's loop over a listing may write: no connection is kept for it.
func TestStoreOfOneConnectionConforms(t *testing.T) {
	t.Parallel()
	leasetest.Run(t, func(t *testing.T) lease.Store {
		db := open(t, newFile(t), "busy_timeout(1000)", "synchronous(OFF)")
		db.SetMaxOpenConns(1)
		return sqllease.New(db, &sqllease.Config{Table: "odd_Table"})
	})
}

func TestAListingLeavesTheOnlyConnectionToItsCaller(t *testing.T) {
	s, db, _ := newStore(t)
	db.SetMaxOpenConns(1)
	put(t, s, row("a/1", 0), row("a/2", 0))
	for r, err := range s.List(t.Context(), "a/", "") {
		if err != nil {
			t.Fatal(err)
		}
		put(t, s, r)
	}
	if v := get(t, s, "a/2").Version; v != 2 {
		t.Errorf("version %d; want 2", v)
	}
}

func TestSeveralTablesShareAFile(t *testing.T) {
	file := newFile(t)
	one, two := sqllease.New(open(t, file), nil), sqllease.New(open(t, file), &sqllease.Config{Table: "others"})
	if err := errors.Join(one.Setup(t.Context()), two.Setup(t.Context())); err != nil {
		t.Fatal(err)
	}
	put(t, one, row("a/row", 0))
	if v := get(t, two, "a/row").Version; v != 0 {
		t.Errorf("the row of one table has version %d in another", v)
	}
}

func TestATemporaryTableOfTheNameIsNotTaken(t *testing.T) {
	db := open(t, newFile(t))
	db.SetMaxOpenConns(1)
	execute(t, db, "CREATE TEMP TABLE runnel_leases (x); CREATE TEMP TABLE runnel_leases_cursor (id, last)")
	s := sqllease.New(db, nil)
	for range 2 {
		if err := s.Setup(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	put(t, s, row("a/row", 0))
	put(t, s, row("a/row", 1))
	if v := ask[int](t, db, "SELECT version FROM main.runnel_leases"); v != 2 {
		t.Errorf("the table has version %d; want 2", v)
	}
	if v := get(t, s, "a/row").Version; v != 2 {
		t.Errorf("read version %d; want 2", v)
	}
}

func TestAnOperatorReadsValuesAsText(t *testing.T) {
	s, db, _ := newStore(t)
	r := row("orders/S/inc/shard-0", 0)
	r.Value = []byte(`{"owner":"a"}`)
	put(t, s, r)
	got := ask[string](t, db, `SELECT grp || ' ' || name || ' ' || typeof(value) || ' ' || json_extract(value, '$.owner') FROM runnel_leases`)
	if want := "orders/S/inc/ shard-0 text a"; got != want {
		t.Errorf("%q; want %q", got, want)
	}
}

func TestConflictsSayWhatIsThere(t *testing.T) {
	s, _, _ := newStore(t)
	put(t, s, row("a/row", 0))
	for _, c := range []struct {
		write func(context.Context, []lease.Row) []error
		row   lease.Row
		want  string
	}{
		{s.Put, row("a/row", 0), "it has version 1"},
		{s.Put, row("a/row", 5), "it has version 1"},
		{s.Put, row("a/none", 5), "it does not exist"},
		{s.Delete, row("a/row", 0), "it has version 1"},
		{s.Delete, row("a/row", 2), "it has version 1"},
		{s.Delete, row("a/none", 2), "it does not exist"},
	} {
		errs := c.write(t.Context(), []lease.Row{c.row})
		if len(errs) != 1 || !errors.Is(errs[0], lease.ErrConflict) {
			t.Fatalf("%v; want one conflict", errs)
		}
		for _, want := range []string{c.want, "runnel_leases", fmt.Sprintf("%q at version %d", c.row.Key, c.row.Version)} {
			if !strings.Contains(errs[0].Error(), want) {
				t.Errorf("%v; want it to say %q", errs[0], want)
			}
		}
	}
}

// What was done for the others is kept, whatever the last row was.
func TestALastRowThatIsAConflictHindersNoOther(t *testing.T) {
	s, _, _ := newStore(t)
	for name, write := range map[string]func(context.Context, []lease.Row) []error{"a/put": s.Put, "a/deleted": s.Delete} {
		put(t, s, row(name, 0))
		if errs := write(t.Context(), []lease.Row{row(name, 1), row("a/none", 7)}); len(errs) != 2 || errs[0] != nil || !errors.Is(errs[1], lease.ErrConflict) {
			t.Errorf("%s: %v; want a conflict of the second", name, errs)
		}
	}
	if put, deleted := get(t, s, "a/put").Version, get(t, s, "a/deleted").Version; put != 2 || deleted != 0 {
		t.Errorf("versions %d and %d; want 2 and 0", put, deleted)
	}
}

func TestARowNamedTwiceIsWrittenInOrder(t *testing.T) {
	s, _, _ := newStore(t)
	errs := s.Put(t.Context(), []lease.Row{row("a/row", 0), row("a/row", 1), row("a/row", 1)})
	if len(errs) != 3 || errs[0] != nil || errs[1] != nil || !errors.Is(errs[2], lease.ErrConflict) {
		t.Errorf("%v; want a conflict of the third", errs)
	}
	if v := get(t, s, "a/row").Version; v != 2 {
		t.Errorf("version %d; want 2", v)
	}
}

func TestUnsoundRowsAreRefusedAndHinderNone(t *testing.T) {
	s, _, _ := newStore(t)
	sound := row("a/sound", 0)
	for want, r := range map[string]lease.Row{
		"a group that ends in a slash": row("nogroup", 0),
		"and a name":                   row("a/", 0),
		"a key is UTF-8":               row("a/\xff", 0),
		"without zero bytes":           row("a/\x00", 0),
		"value is not UTF-8":           {Key: "a/row", Value: []byte("\xff")},
		"so not JSON":                  {Key: "a/row", Value: []byte("\"\x00\"")},
		"versions are used up":         {Key: "a/row", Version: math.MaxInt64, Value: []byte("{}")},
		"are used up":                  {Key: "a/row", Version: math.MaxUint64, Value: []byte("{}")},
	} {
		errs := s.Put(t.Context(), []lease.Row{r, sound})
		if len(errs) != 2 || errs[0] == nil || !strings.Contains(errs[0].Error(), want) || errs[1] != nil {
			t.Errorf("%q: %v; want %q of the first alone", r.Key, errs, want)
		}
		sound.Version++
	}
	if _, err := s.Get(t.Context(), []string{"a/sound", "nogroup"}); err == nil {
		t.Error("Get of a key without a group: no error")
	}
	for _, group := range []string{"", "a", "/x", "\xff/", "\x00/"} {
		var last error
		for _, last = range s.List(t.Context(), group, "") {
		}
		if last == nil {
			t.Errorf("List of %q: no error", group)
		}
	}
}

func TestVersionsGoUpToTheLargestInteger(t *testing.T) {
	s, db, _ := newStore(t)
	put(t, s, row("a/row", 0))
	execute(t, db, "UPDATE runnel_leases SET version = ?", int64(math.MaxInt64-1))
	put(t, s, row("a/row", math.MaxInt64-1))
	if v := get(t, s, "a/row").Version; v != math.MaxInt64 {
		t.Errorf("version %d", v)
	}
}

func TestValidateRefusesWhatCannotWork(t *testing.T) {
	db := open(t, newFile(t))
	for _, name := range []string{"1a", "a-b", `a"b`, "a b", "a.b", "é", "sqlite_x", "SQLite_x", strings.Repeat("x", 51)} {
		s := sqllease.New(db, &sqllease.Config{Table: name})
		if err := s.Validate(); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", name)) {
			t.Errorf("table %q: %v", name, err)
		}
		if err := s.Setup(t.Context()); err == nil {
			t.Errorf("table %q: Setup has no error", name)
		}
	}
	for name, sound := range map[string]bool{
		"leases": true, "orders.leases": true, "Orders.Leases_9": true, strings.Repeat("x", 50) + "." + strings.Repeat("y", 50): true,
		"": true, ".leases": false, "orders.": false, "a.b.c": false, "orders.1a": false, "a b.c": false, strings.Repeat("x", 51): false, "a." + strings.Repeat("x", 51): false,
	} {
		s := sqllease.New(db, &sqllease.Config{Dialect: sqllease.PostgreSQL, Table: name})
		if err := s.Validate(); sound != (err == nil) || err != nil && !strings.Contains(err.Error(), fmt.Sprintf("%q", name)) {
			t.Errorf("table %q of PostgreSQL: %v", name, err)
		}
	}
	unknown := sqllease.New(nil, &sqllease.Config{Dialect: "mysql", Table: "a b"})
	for _, want := range []string{`Config.Dialect is "mysql": use one of ["sqlite" "postgresql"]`, `Config.Table is "a b"`, "sql.Open"} {
		if err := unknown.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want it to say %q, too", err, want)
		}
	}
	if err := sqllease.New(nil, nil).Setup(t.Context()); err == nil || !strings.Contains(err.Error(), "sql.Open") {
		t.Errorf("no database: %v", err)
	}
	for _, name := range []string{"", "a", "_9", "Order", strings.Repeat("x", 50)} {
		if err := sqllease.New(db, &sqllease.Config{Table: name}).Setup(t.Context()); err != nil {
			t.Errorf("table %q: %v", name, err)
		}
	}
}

// inTurn gives each call to the next of its stores.
type inTurn struct {
	stores []lease.Store
	calls  atomic.Uint64
}

func (s *inTurn) next() lease.Store { return s.stores[s.calls.Add(1)%uint64(len(s.stores))] }

func (s *inTurn) Setup(ctx context.Context) error { return s.next().Setup(ctx) }

func (s *inTurn) Get(ctx context.Context, keys []string) ([]lease.Row, error) {
	return s.next().Get(ctx, keys)
}

func (s *inTurn) List(ctx context.Context, group, after string) iter.Seq2[lease.Row, error] {
	return s.next().List(ctx, group, after)
}

func (s *inTurn) Put(ctx context.Context, rows []lease.Row) []error { return s.next().Put(ctx, rows) }

func (s *inTurn) Delete(ctx context.Context, rows []lease.Row) []error {
	return s.next().Delete(ctx, rows)
}
