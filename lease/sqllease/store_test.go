package sqllease_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"math"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/leasetest"
	"github.com/runnelhq/runnel/lease/sqllease"
)

func TestStoreConforms(t *testing.T) {
	leasetest.Run(t, func(t *testing.T) lease.Store { return sqllease.New(open(t, newFile(t)), nil) })
}

// Two pools on one file, as two processes have them; calls go to either in turn.
func TestStoreOfTwoPoolsConforms(t *testing.T) {
	leasetest.Run(t, func(t *testing.T) lease.Store {
		file := newFile(t)
		return &inTurn{stores: []lease.Store{sqllease.New(open(t, file), nil), sqllease.New(open(t, file), nil)}}
	})
}

// A caller's loop over a listing may write: no connection is kept for it.
func TestStoreOfOneConnectionConforms(t *testing.T) {
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
	if err := sqllease.New(nil, nil).Setup(t.Context()); err == nil || !strings.Contains(err.Error(), "sql.Open") {
		t.Errorf("no database: %v", err)
	}
	for _, name := range []string{"", "a", "_9", "Order", strings.Repeat("x", 50)} {
		if err := sqllease.New(db, &sqllease.Config{Table: name}).Setup(t.Context()); err != nil {
			t.Errorf("table %q: %v", name, err)
		}
	}
}

func TestACursorIsOfItsTransaction(t *testing.T) {
	s, _, _ := newStore(t)
	put(t, s, row("a/1", 0), row("a/2", 0))
	first := get(t, s, "a/1").Cursor
	if other := get(t, s, "a/2").Cursor; other != first {
		t.Errorf("rows of one Put have the cursors %q and %q", first, other)
	}
	put(t, s, row("a/1", 1))
	second := get(t, s, "a/1").Cursor
	if second <= first {
		t.Errorf("cursor %q after %q", second, first)
	}
	if keys := listed(t, s, "a/", first); !slices.Equal(keys, []string{"a/1"}) {
		t.Errorf("listed %q after the first; want the row that changed", keys)
	}
	if keys := listed(t, s, "a/", second); len(keys) != 0 {
		t.Errorf("listed %q after the last; want none", keys)
	}
}

// Cursors are compared as text, by those who keep the last that they saw.
func TestCursorsSortAsTheyWereGiven(t *testing.T) {
	s, _, _ := newStore(t)
	last := ""
	for version := range uint64(101) {
		put(t, s, row("a/row", version))
		cursor := get(t, s, "a/row").Cursor
		if cursor <= last {
			t.Fatalf("cursor %q after %q", cursor, last)
		}
		last = cursor
	}
}

func TestARowIsStampedBesideQuietOnes(t *testing.T) {
	s, _, _ := newStore(t)
	put(t, s, row("a/1", 0), row("a/2", 0))
	first := get(t, s, "a/1").Cursor
	quiet := row("a/1", 1)
	quiet.Cursor = first
	put(t, s, quiet, row("a/2", 1))
	if keys := listed(t, s, "a/", first); !slices.Equal(keys, []string{"a/2"}) {
		t.Errorf("listed %q; want the row without a cursor", keys)
	}
}

func TestAQuietWriteIsNotListedAsAChange(t *testing.T) {
	s, _, _ := newStore(t)
	put(t, s, row("a/1", 0), row("a/2", 0))
	put(t, s, row("a/2", 1))
	last := get(t, s, "a/2").Cursor
	quiet := row("a/1", 1)
	quiet.Cursor = get(t, s, "a/1").Cursor
	put(t, s, quiet)
	if keys := listed(t, s, "a/", last); len(keys) != 0 {
		t.Errorf("listed %q; want none", keys)
	}
	if got := get(t, s, "a/1"); got.Version != 2 || got.Cursor != quiet.Cursor {
		t.Errorf("%v; want version 2 with the cursor that it had", got)
	}
}

// A write that keeps its place is as conditional as one that does not.
func TestAQuietWriteOfAnotherVersionIsAConflict(t *testing.T) {
	s, _, _ := newStore(t)
	for version := range uint64(3) {
		put(t, s, row("a/row", version))
	}
	for _, version := range []uint64{1, 2, 4} {
		quiet := row("a/row", version)
		quiet.Cursor = get(t, s, "a/row").Cursor
		if errs := s.Put(t.Context(), []lease.Row{quiet}); len(errs) != 1 || !errors.Is(errs[0], lease.ErrConflict) {
			t.Errorf("a write of version %d to a row of 3: %v; want a conflict", version, errs)
		}
	}
	if got := get(t, s, "a/row"); got.Version != 3 || string(got.Value) != `{"version":3}` {
		t.Errorf("%v; want version 3 as it was", got)
	}
}

// The counter outlives the rows: were it the highest cursor of a row, a deletion would take it back below what others have seen.
func TestCursorsRiseAcrossDeletions(t *testing.T) {
	s, _, _ := newStore(t)
	put(t, s, row("a/1", 0))
	put(t, s, row("a/2", 0))
	seen := get(t, s, "a/2").Cursor
	if errs := s.Delete(t.Context(), []lease.Row{row("a/2", 1)}); errs != nil {
		t.Fatal(errs)
	}
	put(t, s, row("a/1", 1))
	if keys := listed(t, s, "a/", seen); !slices.Equal(keys, []string{"a/1"}) {
		t.Errorf("listed %q; want the row that changed after the deletion", keys)
	}
}

func TestACreatedRowIsListedWhateverItsCursor(t *testing.T) {
	s, _, _ := newStore(t)
	put(t, s, row("a/1", 0))
	r := row("a/2", 0)
	r.Cursor = get(t, s, "a/1").Cursor
	put(t, s, r)
	if keys := listed(t, s, "a/", r.Cursor); !slices.Equal(keys, []string{"a/2"}) {
		t.Errorf("listed %q; want the new row", keys)
	}
}

func TestAForeignCursorComesBeforeEveryChange(t *testing.T) {
	s, _, _ := newStore(t)
	put(t, s, row("a/1", 0))
	for _, cursor := range []string{"2026-01-02T15:04:05.000000000Z-00000000", "99999999999999999999"} {
		if keys := listed(t, s, "a/", cursor); !slices.Equal(keys, []string{"a/1"}) {
			t.Errorf("listed %q after %q; want all", keys, cursor)
		}
	}
}

var parameter = regexp.MustCompile(`\?\d*`)

// Neither a listing of changes nor a read looks at the whole table.
func TestStatementsUseTheIndexes(t *testing.T) {
	tp, db := tapped(t, newFile(t))
	s := sqllease.New(db, nil)
	if err := s.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, s, row("a/1", 0))
	tp.record()
	put(t, s, row("a/1", 1), row("a/2", 0))
	get(t, s, "a/1")
	quiet := row("a/1", 2)
	quiet.Cursor = "kept"
	put(t, s, quiet)
	listed(t, s, "a/", "1")
	listed(t, s, "a/", "")
	s.Delete(t.Context(), []lease.Row{row("a/1", 9)})
	for _, query := range tp.recorded() {
		if verb, _, _ := strings.Cut(query, " "); !slices.Contains([]string{"SELECT", "UPDATE", "DELETE", "INSERT"}, verb) {
			continue
		}
		rows, err := db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+parameter.ReplaceAllString(query, "'x'"))
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range steps(t, rows) {
			if strings.HasPrefix(step, "SCAN runnel_leases") {
				t.Errorf("%s: %s", query, step)
			}
		}
	}
}

func steps(t *testing.T, rows *sql.Rows) (details []string) {
	t.Helper()
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		details = append(details, detail)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return details
}

// The figures that the package's documentation gives.
func TestStatementsOfAnOperation(t *testing.T) {
	tp, db := tapped(t, newFile(t))
	s := sqllease.New(db, nil)
	if err := s.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	statements := func(f func()) int {
		tp.record()
		f()
		return len(tp.recorded())
	}
	var keys []string
	for i := range 251 {
		keys = append(keys, fmt.Sprintf("a/%d", i))
	}
	quiet := row("a/1", 1)
	quiet.Cursor = "kept"
	for _, c := range []struct {
		what string
		want int
		f    func()
	}{
		{"a Put of three new rows", 3 + 3 + 1, func() { put(t, s, row("a/1", 0), row("a/2", 0), row("a/3", 0)) }},
		{"a Put that keeps the cursor", 3 + 1, func() { put(t, s, quiet) }},
		{"a conflict", 3 + 2, func() { s.Delete(t.Context(), []lease.Row{row("a/1", 9)}) }},
		{"a Delete", 3 + 1, func() { s.Delete(t.Context(), []lease.Row{row("a/2", 1)}) }},
		{"a Get of 251 keys", 2, func() {
			if _, err := s.Get(t.Context(), keys); err != nil {
				t.Fatal(err)
			}
		}},
		{"a List", 1, func() { listed(t, s, "a/", "") }},
		{"a List by cursor", 1, func() { listed(t, s, "a/", "1") }},
	} {
		if got := statements(c.f); got != c.want {
			t.Errorf("%s: %d statements; want %d: %q", c.what, got, c.want, tp.recorded())
		}
		if writes := tp.recorded(); len(writes) > 2 && writes[1] != "BEGIN IMMEDIATE" {
			t.Errorf("%s begins with %q; want a transaction that has the lock from its beginning", c.what, writes[:2])
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
