package lease

import (
	"encoding/json"
	"testing"

	"github.com/runnelhq/runnel/checkpoint"
)

func TestWhatOfALineageIsSpent(t *testing.T) {
	done := shardRow{head: head{version: 3}, State: ended, Epoch: 4}
	fresh := shardRow{head: head{version: 1}, State: open}
	begunRow := shardRow{head: head{version: 2}, State: open, Epoch: 5, Position: checkpoint.Offset(1)}
	taken := shardRow{head: head{version: 2}, State: open, Epoch: 5, Owner: "o"}
	asked := done
	asked.Request = json.RawMessage(resetText)
	for name, c := range map[string]struct {
		row             shardRow
		children        []shardRow
		spent, revenant bool
	}{
		"ended, without children":            {done, nil, true, false},
		"ended, its children begun":          {done, []shardRow{begunRow, done}, true, false},
		"ended, its children removed":        {done, []shardRow{{}, begunRow}, true, false},
		"ended, a child not begun":           {done, []shardRow{begunRow, fresh}, false, false},
		"ended, a child taken and not begun": {done, []shardRow{taken}, false, false},
		"ended and asked for":                {asked, nil, false, false},
		"missing":                            {shardRow{}, []shardRow{begunRow}, false, false},
		"open":                               {begunRow, []shardRow{begunRow}, false, false},
		"open and owned":                     {taken, []shardRow{begunRow}, false, false},
		"made again":                         {fresh, []shardRow{fresh, begunRow}, false, true},
		"made, and its children not begun":   {fresh, []shardRow{fresh}, false, false},
		"made, and its children removed":     {fresh, []shardRow{{}}, false, false},
		"made, without children":             {fresh, nil, false, false},
	} {
		if got := spent(c.row, c.children); got != c.spent {
			t.Errorf("%s: spent is %v", name, got)
		}
		if got := revenant(c.row, c.children); got != c.revenant {
			t.Errorf("%s: revenant is %v", name, got)
		}
	}
}

func TestTheFloorRisesToWhatIsRemoved(t *testing.T) {
	rows := map[string]shardRow{"a": {Epoch: 4}, "b": {Epoch: 7}}
	if app, changed := raised(appRow{Floor: 5}, rows); !changed || app.Floor != 7 {
		t.Errorf("floor %d, changed %v, want 7", app.Floor, changed)
	}
	if app, changed := raised(appRow{Floor: 8}, rows); changed || app.Floor != 8 {
		t.Errorf("floor %d, changed %v, want 8 as it was", app.Floor, changed)
	}
	if app, changed := raised(appRow{Floor: 8}, nil); changed || app.Floor != 8 {
		t.Errorf("nothing removed: floor %d, changed %v", app.Floor, changed)
	}
}

func TestOnlyWhatIsDeadIsRemovable(t *testing.T) {
	for name, c := range map[string]struct {
		row  sessionRow
		want bool
	}{"alive": {beating(1, 1), false}, "dead": {sessionRow{head: head{version: 1}, State: dead}, true}, "missing": {sessionRow{State: dead}, false}} {
		if got := removable(c.row); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
