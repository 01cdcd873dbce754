package lease

import (
	"slices"
	"time"
)

// plan is what a worker does about the shards it knows of.
type plan struct {
	take  []string      // meant for me and free, or their owner is dead, or named after me although I run no work on them
	free  []string      // named after me, not meant for me, and I run no work on them
	drain []string      // mine, and meant for another for the settle delay
	next  time.Duration // when time alone may change the plan; 0: never
}

// plan decides from what is known. busy tells the shards on which work of this process runs; held the ones to leave alone
// for a while.
func (v *view) plan(me string, busy, held func(id string) bool, now time.Duration, t Timing) plan {
	target := assign(v.candidates(), v.holdings(), false)
	var p plan
	for id, k := range v.shards {
		if k.row.State == ended {
			continue
		}
		p.add(v, k.row, me, target[id], busy(id), held(id), now, t)
	}
	slices.Sort(p.take)
	slices.Sort(p.free)
	slices.Sort(p.drain)
	return p
}

func (p *plan) add(v *view, r shardRow, me, target string, busy, held bool, now time.Duration, t Timing) {
	id := r.ID
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
		if due := since + t.Settle; due <= now {
			p.drain = append(p.drain, id)
		} else {
			p.wake(due)
		}
	case busy || held:
	case r.Owner == me && target != me:
		p.free = append(p.free, id)
	case target != me:
	case r.Owner == "" || r.Owner == me || v.owner(r.Owner, now, t.Expiry) == ownerDead:
		p.take = append(p.take, id)
	}
}

func (p *plan) wake(due time.Duration) {
	if p.next == 0 || due < p.next {
		p.next = due
	}
}

// candidates are the live members.
func (v *view) candidates() []candidate {
	members := make([]candidate, len(v.team))
	for i, name := range v.team {
		members[i] = candidate{name: name}
	}
	return members
}

// holdings are the shards that count: owned, or ready to be. A shard that is handed to a live member is that member's; one whose owner is no live member is nobody's.
func (v *view) holdings() []holding {
	shards := make([]holding, 0, len(v.shards))
	for id, k := range v.shards {
		if k.row.State == ended || k.row.Owner == "" && !ready(k.row, v.shard) {
			continue
		}
		owner := k.row.Owner
		if _, live := slices.BinarySearch(v.team, k.row.Next); live {
			owner = k.row.Next
		}
		shards = append(shards, holding{shard: id, owner: owner})
	}
	return shards
}
