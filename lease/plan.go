package lease

import (
	"github.com/runnelhq/runnel/internal/planted"
	"slices"
	"time"
)

// plan is what a worker does about the shards it knows of.
type plan struct {
	take  []string      // meant for me and free, or their owner is dead, or named after me although I run no work on them
	free  []string      // named after me, not meant for me, and I run no work on them
	drain []handover    // mine, and meant for another for the settle delay, or asked for
	await bool          // a live worker has what is meant for me, and is about to release it
	next  time.Duration // when time alone may change the plan; 0: never
}

// handover is a shard that is given up, and the member for which it is meant: "" if nobody shall have it.
type handover struct{ shard, next string }

// plan decides from what is known. busy tells the shards on which work of this process runs; held the ones to leave alone
// for a while.
func (v *view) plan(busy, held func(id string) bool, now time.Duration, t Timing) plan {
	aims := v.aims()
	var p plan
	for _, id := range aims.mine {
		p.add(v, v.shards[id].row, aims.target[id], busy(id), held(id), now, t)
	}
	return p
}

func (p *plan) add(v *view, r shardRow, target string, busy, held bool, now time.Duration, t Timing) {
	id, me := r.ID, v.me
	if !(r.Owner == me && busy && target != me) {
		delete(v.unwanted, id)
	}
	switch {
	case r.Owner == me && busy && target != me:
		since, waiting := v.unwanted[id]
		if !waiting {
			since = now
			v.unwanted[id] = now
		}
		if due := since + t.Settle; due <= now || planted.Is(planted.NoSettle) || v.urgent(r) {
			p.drain = append(p.drain, handover{id, target})
		} else {
			p.wake(due)
		}
	case (busy || held) && !(planted.Is(planted.TakeRunning) && r.Owner == ""):
	case r.Owner == me && planted.Is(planted.MineAlone):
	case r.Owner == me && target != me:
		p.free = append(p.free, id)
	case target != me:
	case r.Owner == "" || r.Owner == me || v.owner(r.Owner, now, t.Expiry) == ownerDead:
		p.take = append(p.take, id)
	case v.owner(r.Owner, now, t.Expiry) == ownerAlive:
		p.await = true
	}
}

func (p *plan) wake(due time.Duration) {
	if p.next == 0 || due < p.next {
		p.next = due
	}
}

// urgent tells whether a shard is given up because somebody said so, and not to spread the load.
func (v *view) urgent(r shardRow) bool {
	_, member := slices.BinarySearch(v.team, v.me)
	return r.wanted() || v.app.Paused || !member
}

// targets is the member of team that each shard is meant for. A shard that an operator wants is meant for nobody.
func (v *view) targets(team []string) map[string]string {
	if v.app.Paused {
		return nil
	}
	byWeight := true
	members := make([]candidate, len(team))
	stuck := false
	for i, name := range team {
		m := v.members[name]
		members[i] = candidate{name: name, zone: m.Zone}
		byWeight = byWeight && m.ByWeight
		stuck = stuck || len(m.Stuck) > 0
	}
	target := assign(members, v.holdings(team), byWeight)
	if stuck {
		v.avoid(team, target)
	}
	return target
}

// avoid gives to another what is meant for a member that cannot take it, because a handler of an earlier session still runs in its process.
func (v *view) avoid(team []string, target map[string]string) {
	for _, name := range team {
		for _, id := range v.members[name].Stuck {
			if target[id] != name || v.shards[id].row.Owner == name {
				continue
			}
			var others []candidate
			for _, other := range team {
				if !slices.Contains(v.members[other].Stuck, id) {
					others = append(others, candidate{name: other})
				}
			}
			target[id] = assign(others, []holding{{shard: id}}, false)[id]
		}
	}
}

// holdings are the shards that count: owned, or ready to be, and not asked for. A shard that is handed to a live member, or is drained for it, is that member's; one whose owner is no live member is nobody's.
func (v *view) holdings(team []string) []holding {
	shards := make([]holding, 0, len(v.shards))
	for id, k := range v.shards {
		if k.row.State == ended || k.row.wanted() || k.row.Owner == "" && !ready(k.row, v.shard) {
			continue
		}
		owner := k.row.Owner
		for _, next := range []string{k.row.Next, v.handing[id]} {
			if _, live := slices.BinarySearch(team, next); live {
				owner = next
			}
		}
		shards = append(shards, holding{shard: id, owner: owner, weight: k.row.Rate, zone: k.row.Zone})
	}
	return shards
}
