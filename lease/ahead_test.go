package lease

import (
	"slices"
	"strings"
	"testing"

	"github.com/runnelhq/runnel/checkpoint"
)

// aheadOf says that one record behind a position is done.
func aheadOf(n int) checkpoint.Ahead {
	return checkpoint.NewAhead(checkpoint.Offset(10), slices.Values([]int{n}))
}

func TestWhatIsAheadGoesWithItsPosition(t *testing.T) {
	row := shardRow{
		head: head{version: 3}, ID: "s", Owner: "me", Epoch: 4, Generation: 2, State: open, Position: checkpoint.Offset(9), Ahead: aheadOf(3),
		Request: []byte(`{"do":"reset","generation":3}`),
	}
	h := holder{"me", 4, 2}
	nobodys, unasked := row, row
	nobodys.Owner, unasked.Request = "", nil
	must := func(r shardRow, err error) shardRow {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	taken, _ := take(unasked, "me", "one", evidence{app: appRow{head: head{version: 1}, Incarnation: "one"}})
	idle, _ := freed(row, "me", false)
	again, _, err := reset(nobodys, request{Do: askReset, Generation: 3})
	for what, c := range map[string]struct {
		got  shardRow
		want progress
	}{
		"a checkpoint at the same position": {must(checkpointed(row, h, progress{checkpoint.Offset(9), aheadOf(4)})), progress{checkpoint.Offset(9), aheadOf(4)}},
		"a checkpoint":                      {must(checkpointed(row, h, progress{checkpoint.Offset(12), aheadOf(1)})), progress{checkpoint.Offset(12), aheadOf(1)}},
		"a checkpoint with nothing behind":  {must(checkpointed(row, h, progress{at: checkpoint.Offset(12)})), progress{at: checkpoint.Offset(12)}},
		"a release":                         {must(released(row, h, progress{checkpoint.Offset(12), aheadOf(1)}, "")), progress{checkpoint.Offset(12), aheadOf(1)}},
		"the end":                           {must(finished(row, h, checkpoint.Offset(9), nil, nil)), progress{at: checkpoint.Offset(9)}},
		"a take":                            {taken, row.progress()},
		"a row that is freed":               {idle, row.progress()},
		"a dead owner that is taken off":    {must(forced(row, ownerDead)), row.progress()},
		"a reset":                           {must(again, err), progress{}},
	} {
		if got := c.got.progress(); got != c.want || c.got.version != 3 {
			t.Errorf("%s: at %s with %q behind, want %s with %q", what, got.at, got.ahead, c.want.at, c.want.ahead)
		}
	}
}

// A row at rest is as short as it was.
func TestARowHasNothingAheadUnlessThereIs(t *testing.T) {
	r := shardRow{State: open, Position: checkpoint.Offset(9)}
	if text := string(r.encode()); strings.Contains(text, "ahead") {
		t.Errorf("with nothing ahead: %s", text)
	}
	r.Ahead = aheadOf(3)
	if text := string(r.encode()); !strings.Contains(text, `"ahead":"10/rDB"`) {
		t.Errorf("with one record ahead: %s", text)
	}
}
