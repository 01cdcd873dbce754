package lease

import (
	"slices"
	"testing"
	"time"
)

const (
	second = time.Second
	blind  = 5 * time.Second
	expiry = 10 * time.Second
)

func beating(hb, version uint64) sessionRow {
	return sessionRow{head: head{version: version}, State: alive, HB: hb}
}

// viewOf is the view of a worker "me" of shards that the session "other" has.
func viewOf(shards ...string) *view {
	v := newView("me", 0)
	for _, id := range shards {
		v.hint(shardRow{head: head{version: 1, cursor: "1"}, ID: id, Owner: "other", Epoch: 1, State: open})
	}
	v.membersRead(membersNamed("other"), true, memberRow{})
	return v
}

// poll is a read of the sessions.
func (v *view) poll(now time.Duration, rows map[string]sessionRow) {
	names := make(map[string]bool)
	for name, r := range rows {
		names[name] = true
		v.session(name, r, false, now)
	}
	for _, name := range v.sessionsRead(names, now, blind) {
		v.session(name, sessionRow{}, false, now)
	}
	v.gather(now)
}

func (v *view) due(now time.Duration) []string {
	living, _, _ := v.suspects(now, expiry, blind)
	return living
}

func TestASessionIsSuspectOnceItsHeartbeatStoodStillForTheExpiry(t *testing.T) {
	v := viewOf("s")
	for now := second; now < 11*second; now += 2 * second {
		v.poll(now, map[string]sessionRow{"other": beating(5, 5)})
	}
	if got := v.due(11*second - 1); len(got) != 0 {
		t.Errorf("suspects too soon: %v", got)
	}
	if got := v.due(11 * second); !slices.Equal(got, []string{"other"}) {
		t.Errorf("suspects: %v, want other", got)
	}
	if _, _, next := v.suspects(9*second, expiry, blind); next != 11*second {
		t.Errorf("to be looked at again at %v, want 11 s: at its time and not at a poll", next)
	}
}

// A worker with a shorter expiry must not kill one that relies on a longer.
func TestTheLongerExpiryCounts(t *testing.T) {
	v := viewOf("s")
	row := beating(5, 5)
	row.Expiry = 30_000
	for now := second; now <= 31*second; now += 2 * second {
		v.poll(now, map[string]sessionRow{"other": row})
		if got := v.due(now); (len(got) == 1) != (now == 31*second) {
			t.Errorf("at %v: suspects %v", now, got)
		}
	}
	for now := 33 * second; now < 62*second; now += 2 * second {
		v.poll(now, nil)
		if got := v.owner("other", now, expiry); got != ownerUnknown {
			t.Errorf("missing at %v: %v, want nothing known yet", now, got)
		}
	}
}

func TestAHeartbeatThatMovesIsNoSuspect(t *testing.T) {
	v := viewOf("s")
	for now := second; now < 60*second; now += 2 * second {
		v.poll(now, map[string]sessionRow{"other": beating(uint64(now), uint64(now))})
		if got := v.due(now); len(got) != 0 {
			t.Fatalf("at %v: suspects %v", now, got)
		}
	}
}

func TestAnOldListingDoesNotMakeAHeartbeatMove(t *testing.T) {
	v := viewOf("s")
	v.poll(1*second, map[string]sessionRow{"other": beating(5, 5)})
	v.poll(4*second, map[string]sessionRow{"other": beating(4, 4)})
	v.poll(8*second, map[string]sessionRow{"other": beating(5, 5)})
	if got := v.due(11 * second); !slices.Equal(got, []string{"other"}) {
		t.Errorf("suspects: %v, want other", got)
	}
}

// After an outage of the store every heartbeat stood still: who could not read may not judge.
func TestAWorkerThatCouldNotReadBeginsToObserveAnew(t *testing.T) {
	v := viewOf("s")
	v.poll(1*second, map[string]sessionRow{"other": beating(5, 5)})
	if got := v.due(15 * second); len(got) != 0 {
		t.Errorf("suspects without a read: %v", got)
	}
	v.poll(15*second, map[string]sessionRow{"other": beating(5, 5)})
	if got := v.due(16 * second); len(got) != 0 {
		t.Errorf("suspects after the outage: %v", got)
	}
	v.poll(20*second, map[string]sessionRow{"other": beating(5, 5)})
	v.poll(24*second, map[string]sessionRow{"other": beating(5, 5)})
	if got := v.due(25 * second); !slices.Equal(got, []string{"other"}) {
		t.Errorf("suspects: %v, want other", got)
	}
}

func TestAMissingSessionIsDeadAfterTheExpiry(t *testing.T) {
	v := viewOf("s")
	v.poll(1*second, map[string]sessionRow{"other": beating(5, 5)})
	for now := 3 * second; now <= 13*second; now += 2 * second {
		v.poll(now, nil)
		want := ownerUnknown
		if now >= 13*second {
			want = ownerDead
		}
		if got := v.owner("other", now, expiry); got != want {
			t.Errorf("at %v: %v, want %v", now, got, want)
		}
	}
}

func TestASessionThatCannotBeReadIsNeitherAMemberNorDead(t *testing.T) {
	v := viewOf("s")
	for now := second; now < 60*second; now += 2 * second {
		v.session("other", sessionRow{}, true, now)
		v.sessionsRead(map[string]bool{"other": true}, now, blind)
		v.gather(now)
	}
	if slices.Contains(v.team, "other") || v.owner("other", 60*second, expiry) != ownerUnknown || len(v.due(60*second)) != 0 {
		t.Errorf("team %v, owner %v, suspects %v", v.team, v.owner("other", 60*second, expiry), v.due(60*second))
	}
}

func TestSessionsOfOtherApplicationsAreNotKilled(t *testing.T) {
	v := viewOf("s")
	for now := second; now < 60*second; now += 2 * second {
		v.poll(now, map[string]sessionRow{"other": beating(uint64(now), uint64(now)), "stranger": beating(1, 1)})
	}
	if got := v.due(60 * second); len(got) != 0 {
		t.Errorf("suspects: %v", got)
	}
}

func TestAnAnswerSupersedesAListingWithALowerVersion(t *testing.T) {
	v := newView("me", 0)
	v.learn(shardRow{head: head{version: 7}, ID: "s", Owner: "me", Epoch: 2, State: open})
	v.hint(shardRow{head: head{version: 6, cursor: "9"}, ID: "s", Owner: "old", Epoch: 1, State: open})
	if r, _ := v.shard("s"); r.Owner != "me" {
		t.Errorf("owner %q, want me", r.Owner)
	}
	asked := v.tick
	v.answer(shardRow{ID: "s"}, asked)
	if _, ok := v.shard("s"); ok {
		t.Error("a row that a later read did not find is still known")
	}
	v.answer(shardRow{head: head{version: 1}, ID: "s", State: open}, v.tick)
	v.learn(shardRow{head: head{version: 2}, ID: "s", Owner: "me", Epoch: 1, State: open})
	v.answer(shardRow{head: head{version: 1}, ID: "s", State: open}, asked)
	if r, _ := v.shard("s"); r.version != 2 {
		t.Errorf("version %d after the answer to a question from before, want 2", r.version)
	}
}

func TestRowsThatAFullListingDoesNotShowAsKnownAreReadAgain(t *testing.T) {
	v := newView("me", 0)
	for _, id := range []string{"gone", "anew", "same", "odd"} {
		v.learn(shardRow{head: head{version: 7}, ID: id, State: open})
	}
	asked := v.tick
	v.learn(shardRow{head: head{version: 1}, ID: "made meanwhile", State: open})
	got := v.dubious(map[string]uint64{"anew": 1, "same": 7, "odd": 8}, asked)
	if !slices.Equal(got, []string{"anew", "gone"}) {
		t.Errorf("read again: %v, want anew and gone", got)
	}
}

// planOf is the plan of a view, on some of whose shards work runs.
func planOf(v *view, now time.Duration, busy ...string) plan {
	is := func(id string) bool { return slices.Contains(busy, id) }
	none := func(string) bool { return false }
	return v.plan(is, none, now, Timing{}.withDefaults())
}

func TestNothingIsTakenFromALivingOwner(t *testing.T) {
	v := viewOf("a", "b", "c")
	v.poll(second, map[string]sessionRow{"me": beating(1, 1), "other": beating(1, 1)})
	if p := planOf(v, second); len(p.take) != 0 {
		t.Errorf("taken from a living owner: %v", p.take)
	}
	row := beating(1, 2)
	row.State = dead
	v.poll(2*second, map[string]sessionRow{"me": beating(2, 2), "other": row})
	if p := planOf(v, 2*second); len(p.take) != 3 {
		t.Errorf("taken from a dead owner: %v, want all three at once", p.take)
	}
}

func TestShardsMoveOnlyAfterTheSettleDelay(t *testing.T) {
	v := newView("me", 0)
	mine := []string{"a", "b", "c", "d"}
	for _, id := range mine {
		v.hint(shardRow{head: head{version: 1}, ID: id, Owner: "me", Epoch: 1, State: open})
	}
	v.membersRead(membersNamed("other"), true, memberRow{})
	both := map[string]sessionRow{"me": beating(1, 1), "other": beating(1, 1)}
	v.poll(second, both)
	if p := planOf(v, second, mine...); len(p.drain) != 0 || p.next != 6*second {
		t.Errorf("drained at once: %v, to be looked at again at %v, want 6 s", p.drain, p.next)
	}
	if p := planOf(v, 6*second-1, mine...); len(p.drain) != 0 {
		t.Errorf("drained before the delay: %v", p.drain)
	}
	if p := planOf(v, 6*second, mine...); len(p.drain) != 2 {
		t.Errorf("drained: %v, want two", p.drain)
	}
}

func TestATeamThatChangesBeginsTheSettleDelayAnew(t *testing.T) {
	v := newView("me", 0)
	mine := []string{"a", "b", "c", "d"}
	for _, id := range mine {
		v.hint(shardRow{head: head{version: 1}, ID: id, Owner: "me", Epoch: 1, State: open})
	}
	v.membersRead(membersNamed("other", "third"), true, memberRow{})
	v.poll(1*second, map[string]sessionRow{"me": beating(1, 1), "other": beating(1, 1)})
	planOf(v, second, mine...)
	v.poll(5*second, map[string]sessionRow{"me": beating(2, 2), "other": beating(2, 2), "third": beating(1, 1)})
	if p := planOf(v, 7*second, mine...); len(p.drain) != 0 {
		t.Errorf("drained 2 s after the team changed: %v", p.drain)
	}
	if p := planOf(v, 12*second, mine...); len(p.drain) == 0 {
		t.Error("nothing is drained after the delay")
	}
}

func TestADrainingWorkerIsMeantForNothing(t *testing.T) {
	v := viewOf("a", "b")
	row := beating(1, 1)
	row.Draining = true
	v.poll(second, map[string]sessionRow{"me": beating(1, 1), "other": row})
	if !slices.Equal(v.team, []string{"me"}) {
		t.Errorf("team: %v, want me alone", v.team)
	}
	if p := planOf(v, second); len(p.take) != 0 {
		t.Errorf("taken before it was released: %v", p.take)
	}
}

func TestARowThatNamesMeIsAdoptedOrFreed(t *testing.T) {
	v := newView("me", 0)
	v.membersRead(membersNamed("other"), true, memberRow{})
	for _, id := range []string{"a", "b", "c", "d"} {
		v.hint(shardRow{head: head{version: 1}, ID: id, Owner: "me", Epoch: 1, State: open})
	}
	v.poll(second, map[string]sessionRow{"me": beating(1, 1), "other": beating(1, 1)})
	p := planOf(v, second)
	if len(p.take) != 2 || len(p.free) != 2 {
		t.Errorf("taken again %v, freed %v, want two each", p.take, p.free)
	}
	if p := planOf(v, second, "a", "b", "c", "d"); len(p.take)+len(p.free) != 0 {
		t.Errorf("with their work running: taken again %v, freed %v", p.take, p.free)
	}
}

// Versions, cursors and heartbeats of another history may lie below those that were forgotten.
func TestInAnotherHistoryNothingCountsThatWasSeenBefore(t *testing.T) {
	v := viewOf("s")
	v.historyRead("one", second)
	v.poll(2*second, map[string]sessionRow{"other": beating(9, 9)})
	v.hint(shardRow{head: head{version: 5, cursor: "9"}, ID: "s", Owner: "other", Epoch: 3, State: open})
	if v.historyRead("one", 3*second) {
		t.Error("the same history counts as another")
	}
	if !v.historyRead("two", 8*second) {
		t.Error("another history counts as the same")
	}
	v.hint(shardRow{head: head{version: 5, cursor: "3"}, ID: "s", Owner: "third", Epoch: 2, State: open})
	if r, _ := v.shard("s"); r.Owner != "third" || v.cursor != "3" {
		t.Errorf("%+v, cursor %q, want what was read since", r, v.cursor)
	}
	if still, due := v.sessions["other"].still(8*second, expiry); still || due != 18*second {
		t.Errorf("dead at %v, want the expiry after the change, 18 s", due)
	}
	v.poll(9*second, map[string]sessionRow{"other": beating(7, 7)})
	if r := v.sessions["other"].row; r.HB != 7 || r.version != 7 {
		t.Errorf("the session is %+v, want as it was read since", r)
	}
}

func TestNextCountsAsOwner(t *testing.T) {
	v := newView("me", 0)
	v.membersRead(membersNamed("other"), true, memberRow{})
	for _, id := range []string{"a", "b"} {
		v.hint(shardRow{head: head{version: 1}, ID: id, Next: "other", Epoch: 1, State: open})
	}
	for _, id := range []string{"c", "d"} {
		v.hint(shardRow{head: head{version: 1}, ID: id, Epoch: 1, State: open})
	}
	v.poll(second, map[string]sessionRow{"me": beating(1, 1), "other": beating(1, 1)})
	if p := planOf(v, second); !slices.Equal(p.take, []string{"c", "d"}) {
		t.Errorf("taken: %v, want c and d: a and b are handed to another", p.take)
	}
}

// What this worker is draining for another must not make it look rich: c is meant for it.
func TestWhatIsDrainedForAnotherCountsAsTheOthers(t *testing.T) {
	v := newView("me", 0)
	v.membersRead(membersNamed("other"), true, memberRow{})
	for _, id := range []string{"a", "b"} {
		v.hint(shardRow{head: head{version: 1}, ID: id, Owner: "me", Epoch: 1, State: open})
	}
	v.hint(shardRow{head: head{version: 1}, ID: "c", Epoch: 1, State: open})
	v.handing = map[string]string{"a": "other"}
	v.poll(second, map[string]sessionRow{"me": beating(1, 1), "other": beating(1, 1)})
	if p := planOf(v, second, "a", "b"); !slices.Equal(p.take, []string{"c"}) {
		t.Errorf("taken: %v, want c", p.take)
	}
}

func TestShardsThatWaitForTheirParentsDoNotCount(t *testing.T) {
	v := newView("me", 0)
	v.membersRead(membersNamed(), true, memberRow{})
	v.hint(shardRow{head: head{version: 1}, ID: "p", Epoch: 1, State: open})
	v.hint(shardRow{head: head{version: 1}, ID: "c", State: open, Parents: []string{"p"}})
	v.hint(shardRow{head: head{version: 1}, ID: "d", State: open, Parents: []string{"gone"}})
	v.poll(second, map[string]sessionRow{"me": beating(1, 1)})
	if p := planOf(v, second); !slices.Equal(p.take, []string{"d", "p"}) {
		t.Errorf("taken: %v, want d and p", p.take)
	}
}

// membersNamed are rows of members.
func membersNamed(names ...string) map[string]memberRow {
	rows := make(map[string]memberRow)
	for _, name := range names {
		rows[name] = memberRow{}
	}
	return rows
}
