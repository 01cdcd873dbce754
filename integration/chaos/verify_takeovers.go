package main

import (
	"cmp"
	"slices"
	"time"
)

// checkTakeovers measures, for each shard of a killed worker, the time until another began a record of it. Disturbances meanwhile put off the
// instant from which it is counted: once faults cease, a shard is owned in time.
func (l *ledger) checkTakeovers() {
	deeds := slices.SortedFunc(slices.Values(l.deeds), func(a, b deed) int { return cmp.Compare(a.From, b.From) })
	for _, d := range deeds {
		if d.Kind != deedKill {
			continue
		}
		for _, id := range l.ids() {
			if t := l.owner(id, d.From); t != nil && t.worker == d.Worker {
				l.checkTakeover(deeds, d, t)
			}
		}
	}
}

// owner is who had a shard at an instant, as far as that was told.
func (l *ledger) owner(id string, at time.Duration) *tenure {
	var owner *tenure
	for _, t := range l.tenures[id] {
		if b := t.beginning(); b > 0 && b <= at {
			owner = t
		}
	}
	if owner != nil && owner.over > 0 && owner.over <= at {
		return nil
	}
	return owner
}

func (t *tenure) beginning() time.Duration {
	if t.assigned == 0 && len(t.calls) > 0 {
		return t.calls[0].begun
	}
	return t.assigned
}

func (l *ledger) checkTakeover(deeds []deed, kill deed, t *tenure) {
	var heir *tenure
	for _, other := range l.tenures[t.shard] {
		if other.epoch > t.epoch && len(other.calls) > 0 && other.calls[0].begun > kill.From && (heir == nil || other.calls[0].begun < heir.calls[0].begun) {
			heir = other
		}
	}
	if heir == nil {
		return // nothing was left to handle, or it is lost
	}
	first := heir.calls[0]
	from := kill.From
	if first.place >= 0 {
		from = max(from, l.shards[t.shard][first.place].At) // it was not there before
	}
	took := first.begun - from
	calm := from
	for moved := true; moved; {
		moved = false
		for _, d := range deeds {
			if d != kill && d.disturbs() && d.From <= calm+max(l.limit, took) && d.To > calm && d.From < first.begun {
				calm, moved = d.To, true
			}
		}
	}
	if calm == from {
		l.found.takeovers = append(l.found.takeovers, took)
	} else {
		l.found.disturbed++
	}
	if l.limit > 0 && first.begun-calm > l.limit {
		l.violated(ruleTakeover, "shard %s of %s, which was killed, was handled again by %s after %v, %v after the last disturbance: at most %v are allowed",
			t.shard, kill.Worker, heir.worker, took.Round(time.Millisecond), (first.begun - calm).Round(time.Millisecond), l.limit)
	}
}
