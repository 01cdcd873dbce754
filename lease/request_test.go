package lease

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
)

// rowAsked is a row at rest of which something is asked: JSON text, or nothing.
func rowAsked(text string) shardRow {
	return shardRow{
		head: head{key: "app/S/i/s", version: 3}, ID: "s", State: open, Epoch: 4, Generation: 2, Position: checkpoint.Offset(9),
		Next: "n", Request: json.RawMessage(text),
	}
}

const (
	pauseText = `{"do":"pause"}`
	resetText = `{"do":"reset","generation":3}`
	bothText  = `{"do":"reset","generation":3,"paused":true}`
	newText   = `{"do":"split"}`
)

func TestWhatIsAskedOfAShard(t *testing.T) {
	pause, three := request{Do: askPause}, request{Do: askReset, Generation: 3}
	for name, c := range map[string]struct {
		old     string
		ended   bool
		ask     request
		want    string
		refused bool
	}{
		"pause":                          {"", false, pause, pauseText, false},
		"pause again":                    {pauseText, false, pause, pauseText, false},
		"pause of what has ended":        {"", true, pause, "", false},
		"pause of what is reset":         {resetText, false, pause, bothText, false},
		"pause of what has ended, reset": {resetText, true, pause, bothText, false},
		"reset":                          {"", false, three, resetText, false},
		"reset again":                    {resetText, false, three, resetText, false},
		"reset of what has ended":        {"", true, three, resetText, false},
		"reset of what is paused":        {pauseText, false, three, bothText, false},
		"reset again of what is paused":  {bothText, false, three, bothText, false},
		"reset over an older one":        {`{"do":"reset","generation":2,"paused":true}`, false, three, bothText, false},
		"reset under a later one":        {`{"do":"reset","generation":4}`, false, three, `{"do":"reset","generation":4}`, true},
		"pause over what is not known":   {newText, false, pause, newText, true},
		"reset over what is not known":   {newText, false, three, newText, true},
		"over what cannot be read":       {`7`, false, pause, `7`, true},
	} {
		r := rowAsked(c.old)
		if c.ended {
			r.State = ended
		}
		next, changed, err := asking(r, c.ask)
		if string(next.Request) != c.want || changed != (c.want != c.old) || (err != nil) != c.refused {
			t.Errorf("%s: %s, changed %v, %v; want %s", name, next.Request, changed, err, c.want)
		}
		if c.refused && !strings.Contains(err.Error(), "shard s") {
			t.Errorf("%s: %v does not name the shard", name, err)
		}
	}
}

func TestHowARequestIsAnswered(t *testing.T) {
	pause, three := request{Do: askPause}, request{Do: askReset, Generation: 3}
	for name, c := range map[string]struct {
		old    string
		answer request
		want   string
	}{
		"no request":                 {"", pause, ""},
		"pause":                      {pauseText, pause, ""},
		"pause of a reset":           {bothText, pause, resetText},
		"pause, where it is a reset": {resetText, pause, resetText},
		"reset":                      {resetText, three, ""},
		"reset, then pause":          {bothText, three, pauseText},
		"reset, where it is a pause": {pauseText, three, pauseText},
		"another reset":              {`{"do":"reset","generation":4}`, three, `{"do":"reset","generation":4}`},
		"another reset, then pause":  {`{"do":"reset","generation":4,"paused":true}`, three, `{"do":"reset","generation":4,"paused":true}`},
	} {
		next, changed, err := answered(rowAsked(c.old), c.answer)
		if string(next.Request) != c.want || changed != (c.want != c.old) || err != nil {
			t.Errorf("%s: %s, changed %v, %v; want %s", name, next.Request, changed, err, c.want)
		}
		if next.wanted() != (c.want != "") {
			t.Errorf("%s: wanted is %v", name, next.wanted())
		}
	}
	if _, changed, err := answered(rowAsked(newText), pause); changed || err == nil {
		t.Errorf("one that is not known was answered: %v", err)
	}
}

func TestOnlyADeadOwnerIsTakenOffARow(t *testing.T) {
	r := rowAsked(pauseText)
	r.Owner = "o"
	for owner, free := range map[ownership]bool{ownerUnknown: false, ownerAlive: false, ownerDead: true} {
		next, err := forced(r, owner)
		if (err == nil) != free || (next.Owner == "") != free {
			t.Errorf("owner %v: %+v, %v", owner, next, err)
		}
		if next.Epoch != 4 || next.Position != checkpoint.Offset(9) || !next.wanted() {
			t.Errorf("owner %v: more was changed: %+v", owner, next)
		}
	}
	r.Owner = ""
	if _, err := forced(r, ownerUnknown); err != nil {
		t.Errorf("a row of nobody: %v", err)
	}
}

func TestAResetOfARow(t *testing.T) {
	instant := checkpoint.AtTime(time.Unix(5, 0))
	three := request{Do: askReset, Generation: 3, Start: instant}
	r := rowAsked(resetText)
	r.State = ended
	next, changed, err := reset(r, three)
	if err != nil || !changed || next.Epoch != 5 || next.Generation != 3 || next.State != open || !next.Position.IsZero() || next.Start != instant || next.Next != "" || !next.wanted() {
		t.Errorf("reset: %+v, %v, %v", next, changed, err)
	}
	if again, changed, err := reset(next, three); changed || err != nil || again.Epoch != 5 {
		t.Errorf("reset again: %+v, %v, %v", again, changed, err)
	}
	owned := r
	owned.State, owned.Owner = open, "o"
	for name, r := range map[string]shardRow{
		"owned": owned, "not asked": rowAsked(""), "paused": rowAsked(pauseText), "not known": rowAsked(newText),
		"asked for another": rowAsked(`{"do":"reset","generation":4}`),
	} {
		if next, changed, err := reset(r, three); err == nil || changed || next.Generation != 2 || !strings.Contains(err.Error(), "shard s") {
			t.Errorf("%s: %+v, %v", name, next, err)
		}
	}
}

func TestOneResetIsUnderWayAtATime(t *testing.T) {
	all := resetting{}
	app, changed, err := opened(appRow{Generation: 4}, all, 6)
	if err != nil || !changed || app.Reset.Generation != 7 || app.Generation != 7 {
		t.Errorf("opened: %+v, %v, %v", app.Reset, changed, err)
	}
	if again, changed, err := opened(app, all, 9); err != nil || changed || again.Reset.Generation != 7 {
		t.Errorf("opened again: %+v, %v, %v", again.Reset, changed, err)
	}
	for name, other := range map[string]resetting{"another start": {Start: checkpoint.AtTime(time.Unix(5, 0))}, "other shards": {Shards: []string{"s"}}} {
		if _, _, err := opened(app, other, 9); err == nil || !strings.Contains(err.Error(), "a reset of all shards to TRIM_HORIZON, generation 7") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if part, _, err := opened(appRow{Generation: 4}, resetting{Shards: []string{"s"}}, 6); err != nil || part.Generation != 4 || part.Reset.Generation != 7 {
		t.Errorf("of one shard: %+v, %v: the others keep the generation", part, err)
	}
	if other, changed := settledReset(app, 6); changed || other.Reset == nil {
		t.Error("a reset to another generation was closed")
	}
	if done, changed := settledReset(app, 7); !changed || done.Reset != nil || done.Generation != 7 {
		t.Errorf("closed: %+v", done)
	}
}
