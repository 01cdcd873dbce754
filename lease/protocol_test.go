package lease

import (
	"errors"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
)

func at(seconds int) instant {
	return instant{Mono: time.Duration(seconds) * time.Second, Wall: time.Duration(seconds) * time.Second}
}

func TestEverySendingOfAHeartbeatIsAFreshOne(t *testing.T) {
	var b beats
	seen := make(map[uint64]bool)
	for i := range 200 {
		hb := b.send(at(i))
		if seen[hb] {
			t.Fatalf("hb %d was sent twice", hb)
		}
		seen[hb] = true
	}
}

func TestAHeartbeatCountsFromItsFirstSending(t *testing.T) {
	var b beats
	first := b.send(at(1))
	b.send(at(3))
	since, known := b.ack(first)
	if !known || since != at(1) {
		t.Errorf("acknowledged as of %v, %v, want 1 s", since, known)
	}
	if since, known := b.ack(first); known {
		t.Errorf("acknowledged again as of %v: it moved nothing", since)
	}
}

func TestASessionIsOverWhenItsRowIsNotAsItLeftIt(t *testing.T) {
	var b beats
	for i := range 5 {
		b.send(at(i))
	}
	b.ack(3)
	for name, c := range map[string]struct {
		row  sessionRow
		mine bool
	}{
		"the last acknowledged":   {sessionRow{head: head{version: 4}, State: alive, HB: 3}, true},
		"one that was sent":       {sessionRow{head: head{version: 5}, State: alive, HB: 4}, true},
		"dead":                    {sessionRow{head: head{version: 5}, State: dead, HB: 4}, false},
		"missing":                 {sessionRow{}, false},
		"below the acknowledged":  {sessionRow{head: head{version: 2}, State: alive, HB: 2}, false},
		"one that was never sent": {sessionRow{head: head{version: 9}, State: alive, HB: 6}, false},
	} {
		if got := b.mine(c.row); got != c.mine {
			t.Errorf("%s: goes on is %v, want %v", name, got, c.mine)
		}
	}
}

func TestUnacknowledgedSendingsAreBounded(t *testing.T) {
	var b beats
	for i := range 10 * maxFlights {
		b.send(at(i))
	}
	if len(b.when) > maxFlights {
		t.Errorf("%d sendings are remembered", len(b.when))
	}
	if since, known := b.ack(b.sent); !known || since != at(10*maxFlights-1) {
		t.Errorf("the last: %v, %v", since, known)
	}
}

func TestValidityEndsOnWhicheverClockSaysMore(t *testing.T) {
	sent := at(0)
	for name, c := range map[string]struct {
		now  instant
		want time.Duration
	}{
		"both":                             {at(3), 3 * time.Second},
		"suspended: the monotonic is late": {instant{Mono: time.Second, Wall: 30 * time.Second}, 30 * time.Second},
		"the wall clock was set back":      {instant{Mono: 4 * time.Second, Wall: -100 * time.Second}, 4 * time.Second},
	} {
		if got := sent.Age(c.now); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestOnlyAHeartbeatThatStoodStillIsKilled(t *testing.T) {
	row := sessionRow{head: head{version: 4}, State: alive, HB: 7}
	if next, ok := killed(row, 7); !ok || next.State != dead || next.HB != 7 || next.version != 4 {
		t.Errorf("killed: %+v, %v", next, ok)
	}
	if _, ok := killed(row, 6); ok {
		t.Error("a session was killed whose heartbeat moved")
	}
	if _, ok := killed(sessionRow{HB: 7, State: alive}, 7); ok {
		t.Error("a missing session was killed")
	}
}

// owned is a row of somebody, and evidence by which it may be taken.
func owned() (shardRow, evidence) {
	r := shardRow{
		head: head{version: 3}, ID: "child", Owner: "other", Epoch: 4, State: open, Generation: 2,
		Parents: []string{"p", "q"}, Position: checkpoint.Offset(9),
	}
	return r, evidence{
		app: appRow{head: head{version: 1}, Incarnation: "one"}, owner: ownerDead,
		parents: map[string]parent{"p": {state: parentEnded, epoch: 2}, "q": {state: parentGone, epoch: 0}},
	}
}

func TestTakeStartsFromThePositionThatItWrites(t *testing.T) {
	r, e := owned()
	next, why := take(r, "me", "one", e)
	if why != taken || next.Owner != "me" || next.Epoch != 5 || next.Position != checkpoint.Offset(9) || next.Generation != 2 || next.version != 3 {
		t.Errorf("taken: %q %+v", why, next)
	}
}

func TestEpochsRiseAboveTheRowItsParentsAndTheFloor(t *testing.T) {
	for name, change := range map[string]func(*shardRow, *evidence){
		"own":      func(r *shardRow, _ *evidence) { r.Epoch = 70 },
		"a parent": func(_ *shardRow, e *evidence) { e.parents["p"] = parent{state: parentEnded, epoch: 70} },
		"floor":    func(_ *shardRow, e *evidence) { e.app.Floor = 70 },
	} {
		r, e := owned()
		change(&r, &e)
		if next, why := take(r, "me", "one", e); why != taken || next.Epoch != 71 {
			t.Errorf("%s: %q, epoch %d, want 71", name, why, next.Epoch)
		}
	}
}

func TestNothingIsTakenWithoutItsEvidence(t *testing.T) {
	for want, change := range map[verdict]func(*shardRow, *evidence){
		notThere:     func(r *shardRow, _ *evidence) { r.version = 0 },
		hasEnded:     func(r *shardRow, _ *evidence) { r.State, r.Owner = ended, "" },
		stillRunning: func(_ *shardRow, e *evidence) { e.running = true },
		otherStream:  func(_ *shardRow, e *evidence) { e.app.Incarnation = "two" },
		isWanted:     func(r *shardRow, _ *evidence) { r.Request = []byte(`{"do":"pause"}`) },
		isPaused:     func(_ *shardRow, e *evidence) { e.app.Paused = true },
		forgetful:    func(_ *shardRow, e *evidence) { e.history = "another" },
		ownerLives:   func(_ *shardRow, e *evidence) { e.owner = ownerAlive },
		parentsFirst: func(_ *shardRow, e *evidence) { e.parents["q"] = parent{state: parentOpen, epoch: 1} },
	} {
		r, e := owned()
		change(&r, &e)
		if _, why := take(r, "me", "one", e); why != want {
			t.Errorf("verdict %q, want %q", why, want)
		}
	}
	for name, change := range map[string]func(*shardRow, *evidence){
		"the owner was not read":             func(_ *shardRow, e *evidence) { e.owner = ownerUnknown },
		"a parent was not read":              func(_ *shardRow, e *evidence) { delete(e.parents, "p") },
		"the application was not":            func(_ *shardRow, e *evidence) { e.app = appRow{} },
		"nobody can read what is asked":      func(r *shardRow, _ *evidence) { r.Request = []byte(`7`) },
		"the store does not tell any longer": func(_ *shardRow, e *evidence) { e.app.History = "one" },
		"it came up in a reset that has not come to its parent": func(r *shardRow, e *evidence) {
			r.Owner, r.Epoch, r.Generation, e.app.Reset = "", 0, 7, &resetting{Generation: 7}
			e.parents["p"] = parent{state: parentEnded, epoch: 1, generation: 6}
		},
		"a parent may still exist": func(_ *shardRow, e *evidence) { e.parents["q"] = parent{} },
	} {
		r, e := owned()
		change(&r, &e)
		if next, why := take(r, "me", "one", e); why == taken {
			t.Errorf("%s: taken as %+v", name, next)
		}
	}
}

func TestAGenerationDoesNotFallAlongALineage(t *testing.T) {
	r, e := owned()
	for reset, want := range map[uint64]uint64{0: 2, 1: 2, 2: 2, 3: 3} {
		e.reset = reset
		if next, why := take(r, "me", "one", e); why != taken || next.Generation != want {
			t.Errorf("with parents in generation %d: %q, generation %d, want %d", reset, why, next.Generation, want)
		}
	}
}

func TestARowThatNamesMeAndThatIDoNotRunIsTakenAgain(t *testing.T) {
	r, e := owned()
	r.Owner, e.owner = "me", ownerUnknown
	if next, why := take(r, "me", "one", e); why != taken || next.Epoch != 5 {
		t.Errorf("%q, epoch %d, want a new epoch, 5", why, next.Epoch)
	}
}

func TestOnlyTheHolderStoresAndNeverBackwards(t *testing.T) {
	row := shardRow{head: head{version: 3}, ID: "s", Owner: "me", Epoch: 4, Generation: 2, State: open, Position: checkpoint.Offset(9)}
	h := holder{"me", 4, 2}
	writes := map[string]func(shardRow, holder, progress) (shardRow, error){
		"checkpoint": checkpointed,
		"release":    func(r shardRow, h holder, p progress) (shardRow, error) { return released(r, h, p, "") },
		"end": func(r shardRow, h holder, p progress) (shardRow, error) {
			return finished(r, h, p.at, nil, nil)
		},
	}
	for name, write := range writes {
		if next, err := write(row, h, progress{at: checkpoint.Offset(9)}); err != nil || next.Position != checkpoint.Offset(9) || next.version != 3 {
			t.Errorf("%s at the same position: %+v, %v", name, next, err)
		}
		if _, err := write(row, h, progress{at: checkpoint.Offset(8)}); !errors.Is(err, ErrPosition) {
			t.Errorf("%s: Hazard 4: a position below the stored one: %v", name, err)
		}
		for what, change := range map[string]func(*shardRow){
			"owner":      func(r *shardRow) { r.Owner = "other" },
			"nobody":     func(r *shardRow) { r.Owner = "" },
			"epoch":      func(r *shardRow) { r.Epoch++ },
			"generation": func(r *shardRow) { r.Generation++ },
			"end":        func(r *shardRow) { r.State = ended },
			"absence":    func(r *shardRow) { r.version = 0 },
		} {
			other := row
			change(&other)
			if next, err := write(other, h, progress{at: checkpoint.Offset(10)}); !errors.Is(err, ErrLost) {
				t.Errorf("%s over another %s: %+v, %v", name, what, next, err)
			}
		}
	}
}

// A zombie whose successor has sealed the sink must not lift itself above it.
func TestOnlyTheHolderLiftsAnEpochAndNeverLowersIt(t *testing.T) {
	h := holder{"me", 4, 2}
	row := shardRow{head: head{version: 3}, State: open, Owner: "me", Epoch: 4, Generation: 2}
	for _, c := range []struct{ epoch, generation, wantEpoch, wantGeneration uint64 }{
		{70, 3, 70, 3}, {4, 2, 4, 2}, {0, 0, 4, 2},
	} {
		next, err := lifted(row, h, c.epoch, c.generation, "")
		if err != nil || next.Owner != "" || next.Epoch != c.wantEpoch || next.Generation != c.wantGeneration {
			t.Errorf("lifted to %d, %d: %+v, %v", c.epoch, c.generation, next, err)
		}
	}
	taken := row
	taken.Owner, taken.Epoch = "other", 5
	if next, err := lifted(taken, h, 70, 3, ""); !errors.Is(err, ErrLost) || next.Epoch != 5 {
		t.Errorf("of another's row: %+v, %v", next, err)
	}
}

func TestHazard07_EndWaitsForTheRowsOfAllChildren(t *testing.T) {
	row := shardRow{head: head{version: 3}, ID: "p", Owner: "me", Epoch: 4, State: open}
	h := holder{"me", 4, 0}
	a := shardRow{head: head{version: 1}, ID: "a", State: open, Parents: []string{"p"}}
	b := shardRow{head: head{version: 1}, ID: "b", State: open, Parents: []string{"q"}}
	if next, err := finished(row, h, checkpoint.End(), []string{"a", "b"}, map[string]shardRow{"a": a}); err == nil {
		t.Errorf("ended although b has no row: %+v", next)
	}
	if next, err := finished(row, h, checkpoint.End(), []string{"a", "b"}, map[string]shardRow{"a": a, "b": b}); err == nil {
		t.Errorf("ended although b does not name it: %+v", next)
	}
	b.Parents = append(b.Parents, "p")
	next, err := finished(row, h, checkpoint.End(), []string{"a", "b"}, map[string]shardRow{"a": a, "b": b})
	if err != nil || next.State != ended || next.Owner != "" || len(next.Children) != 2 {
		t.Errorf("ended: %+v, %v", next, err)
	}
}

func TestAWriteIsSettledOnlyWhenItsPositionIsThere(t *testing.T) {
	h, p := holder{"me", 4, 0}, progress{checkpoint.Offset(9), aheadOf(1)}
	row := shardRow{head: head{version: 3}, State: open, Epoch: 4, Position: p.at, Ahead: p.ahead}
	for name, c := range map[string]struct {
		change func(*shardRow)
		want   bool
	}{
		"released":               {func(*shardRow) {}, true},
		"released and taken":     {func(r *shardRow) { r.Owner, r.Epoch = "other", 5 }, true},
		"not applied":            {func(r *shardRow) { r.Owner = "me" }, false},
		"taken from before":      {func(r *shardRow) { r.Owner, r.Epoch, r.Position = "other", 5, checkpoint.Offset(8) }, false},
		"of another generation":  {func(r *shardRow) { r.Generation = 1 }, false},
		"with older work behind": {func(r *shardRow) { r.Ahead = aheadOf(2) }, false},
		"with none behind":       {func(r *shardRow) { r.Ahead = checkpoint.Ahead{} }, false},
		"taken and went on": {func(r *shardRow) {
			r.Owner, r.Epoch, r.Position, r.Ahead = "other", 5, checkpoint.Offset(10), checkpoint.Ahead{}
		}, true},
		"gone": {func(r *shardRow) { r.version = 0 }, false},
	} {
		r := row
		c.change(&r)
		if got := settled(r, h, p); got != c.want {
			t.Errorf("%s: settled is %v, want %v", name, got, c.want)
		}
	}
}

func TestHazard03_WhereAShardWithoutARowBegins(t *testing.T) {
	instant := checkpoint.AtTime(time.Unix(1000, 0))
	for name, c := range map[string]struct {
		listed, parent bool
		want           checkpoint.Start
	}{
		"first listing":                          {false, false, instant},
		"first listing, a descendant":            {false, true, instant},
		"later":                                  {true, false, instant},
		"later, a descendant of a shard of ours": {true, true, checkpoint.Start{}},
	} {
		if got := startOf(appRow{Start: instant, Listed: c.listed}, c.parent); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestARowIsFreedOnlyByItsOwnSessionWithoutWork(t *testing.T) {
	r := shardRow{head: head{version: 3}, Owner: "me", Epoch: 4, State: open, Position: checkpoint.Offset(9)}
	if next, ok := freed(r, "me", false); !ok || next.Owner != "" || next.Position != checkpoint.Offset(9) || next.Epoch != 4 {
		t.Errorf("freed: %+v, %v", next, ok)
	}
	if _, ok := freed(r, "me", true); ok {
		t.Error("a row was freed under a running handler")
	}
	if _, ok := freed(r, "other", false); ok {
		t.Error("a row of another session was freed")
	}
}
