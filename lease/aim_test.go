package lease

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
)

// What was worked out before must be what would be worked out now, whatever was learned in between.
func TestAims(t *testing.T) {
	for seed := range uint64(50) {
		dice := rand.New(rand.NewPCG(seed, 0))
		v := newView("me", 0)
		v.membersRead(weighing("a", "b"), true, memberRow{Zone: "me", ByWeight: true})
		for i := range 200 {
			now := time.Duration(i) * second
			what := change(v, dice, now)
			busy := func(id string) bool { return (len(id)+i/7)%2 == 0 }
			held := func(id string) bool { return id[len(id)-1] == '3' && i%3 == 0 }
			plan := func() plan { return v.plan(busy, held, now, Timing{}.withDefaults()) }
			got, owners := plan(), maps.Clone(v.owners())
			v.aimed, v.owning = nil, nil
			if want := plan(); !reflect.DeepEqual(got, want) {
				t.Fatalf("seed %d: after %s the plan is %+v, and worked out anew %+v", seed, what, got, want)
			}
			if want := v.owners(); !maps.Equal(owners, want) {
				t.Fatalf("seed %d: after %s owners are %v, and worked out anew %v", seed, what, owners, want)
			}
		}
	}
}

// change has a view learn something.
func change(v *view, dice *rand.Rand, now time.Duration) string {
	name := func() string { return []string{"me", "a", "b", ""}[dice.IntN(4)] }
	id := fmt.Sprintf("shard-%d", dice.IntN(8))
	row, _ := v.shard(id)
	row.ID = id
	row.version++
	if row.State == "" {
		row.State = open
	}
	switch what := dice.IntN(16); what {
	case 0:
		v.answer(shardRow{ID: id}, v.tick)
		return "a row that is gone"
	case 1:
		v.historyRead(fmt.Sprint(now), now)
		return "another history"
	case 2:
		v.handing = map[string]string{id: name()}
		return "a shard that is handed over"
	case 3:
		v.application(appRow{head: head{version: v.app.version + 1}, Paused: dice.IntN(2) == 0}, now)
		return "the application"
	case 4:
		v.membersRead(weighing([]string{"a", "b"}[:dice.IntN(3)]...), true, memberRow{Zone: "me", ByWeight: true})
		return "all members"
	case 5:
		v.membersRead(map[string]memberRow{"a": {Zone: name(), ByWeight: dice.IntN(4) > 0, Stuck: []string{id}}}, false, memberRow{})
		return "a member"
	case 6, 7:
		row := beating(uint64(now), uint64(now))
		row.Draining = dice.IntN(3) == 0
		v.poll(now, map[string]sessionRow{"me": beating(1, 1), "a": row, "b": beating(1, 1)})
		return "the sessions"
	case 8:
		row.Next = name()
		v.learn(row)
		return "a successor"
	case 9:
		row.Rate = dice.Uint64N(1 << 20)
		v.learn(row)
		return "a weight"
	case 10:
		row.Request = nil
		if dice.IntN(2) == 0 {
			row.Request = json.RawMessage(`{"do":"pause"}`)
		}
		v.learn(row)
		return "a request"
	case 11:
		row.Parents = []string{"shard-0"}
		v.learn(row)
		return "a parent"
	case 12:
		row.State, row.Owner = ended, ""
		v.learn(row)
		return "an end"
	case 13:
		row.Zone = name()
		v.learn(row)
		return "a zone"
	default:
		row.Owner, row.Epoch, row.State = name(), row.Epoch+1, open
		v.hint(row)
		return "an owner"
	}
}

// weighing are rows of members, each in a zone of its own, that share shards out by weight.
func weighing(names ...string) map[string]memberRow {
	rows := make(map[string]memberRow)
	for _, name := range names {
		rows[name] = memberRow{Zone: name, ByWeight: true}
	}
	return rows
}

// A shard that was not wanted, went to another and came back is settled for anew.
func TestAShardThatCameBackIsSettledForAnew(t *testing.T) {
	v := newView("me", 0)
	v.membersRead(membersNamed("other"), true, memberRow{})
	v.poll(second, map[string]sessionRow{"me": beating(1, 1), "other": beating(1, 1)})
	mine := shardRow{head: head{version: 1}, ID: "a", Owner: "me", Next: "other", Epoch: 1, State: open}
	v.learn(mine)
	planOf(v, second, "a")
	away := mine
	away.Owner = "other"
	v.learn(away)
	planOf(v, 2*second)
	v.learn(mine)
	if p := planOf(v, 7*second, "a"); len(p.drain) != 0 || p.next != 12*second {
		t.Errorf("drained %v, to be looked at again at %v, want 12 s", p.drain, p.next)
	}
}

// A checkpoint says nothing about who has what.
func TestACheckpointChangesNoAim(t *testing.T) {
	v := viewOf("a", "b")
	before := v.aims()
	row, _ := v.shard("a")
	row.version++
	row.Position = checkpoint.Offset(7)
	v.learn(row)
	if v.aims() != before {
		t.Error("aims were worked out again after a checkpoint")
	}
	row.version++
	row.Owner = "me"
	v.learn(row)
	if v.aims() == before {
		t.Error("aims were not worked out again after a take")
	}
}
