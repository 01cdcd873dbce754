package sim

import (
	"maps"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/deadletter"
)

// clone is a copy that shares nothing.
func (s *sinkState) clone() sinkState {
	c := *s
	c.held, c.last = maps.Clone(s.held), maps.Clone(s.last)
	return c
}

// snapshot is what the sink holds of each shard.
func (a *audit) snapshot() map[string]sinkState {
	all := make(map[string]sinkState, len(a.leases))
	for id, la := range a.leases {
		all[id] = la.sink.clone()
	}
	return all
}

// failedOver is called when the sink has forgotten what was written since a snapshot. What of it is of the shard's generation must come again.
func (a *audit) failedOver(kept map[string]sinkState) {
	a.overs++
	for _, id := range a.order() {
		la := a.leases[id]
		s, k := &la.sink, kept[id]
		same := k.fence.Generation == s.fence.Generation && k.fence.Epoch != 0
		forgot := make(map[int]bool)
		for n, what := range s.held {
			if was := k.held[n]; !same || was == 0 {
				forgot[n] = true
			} else if was != what {
				a.w.counts.add("redrive that was forgotten")
				s.excused[n] = true // its letter may be gone
			}
		}
		now := s.fence.Generation == la.generation
		s.sinkState = k
		if len(forgot) == 0 || !now {
			continue
		}
		a.w.counts.add("fail-over that forgot effects")
		maps.Copy(s.forgot, forgot)
		if la.ended || !la.exists {
			a.endedForgotten(la)
			continue
		}
		a.undone(la)
	}
}

// endedForgotten excuses what the sink has forgotten of a shard that has ended.
func (a *audit) endedForgotten(la *leaseAudit) {
	a.passed(la, "of a shard that has ended", func(int) bool { return true })
}

// unnoticed tells whether the owner of a shard goes on since before the last fail-over: it has not stored a position since, with which it will be told that the sink has forgotten where it stood.
func (a *audit) unnoticed(la *leaseAudit) bool {
	return a.shaken(la) && len(la.sink.forgot) > 0
}

// abandoned tells whether the sink has forgotten that it passed a letter's record, and nobody will tell it again, for the shard has ended: somebody must decide about the letter by hand.
func (a *audit) abandoned(l deadletter.Letter) bool {
	la := a.lease(l.Shard)
	n, _ := l.Position.Offset()
	return la.ended && la.sink.excused[int(n)]
}

// undone takes records that the sink has forgotten off those that are done.
func (a *audit) undone(la *leaseAudit) {
	done := la.done
	for n := range la.sink.forgot {
		delete(la.above, n)
		la.done = min(la.done, n)
	}
	for n := la.done; n < done; n++ {
		if !la.sink.forgot[n] {
			la.above[n] = true
		}
	}
}

// standing holds each record that the sink passed in the shard's generation to stand in it once, or to be among the dead.
func (a *audit) standing(la *leaseAudit) {
	s := &la.sink
	if s.fence.Epoch == 0 {
		return
	}
	a.passed(la, "and passed in the same epoch", func(n int) bool { return s.passes(n, a.lane(la, n)) })
	m := s.fence
	for n := s.origin; n < la.done && s.fence.Generation == la.generation; n++ {
		m.Position = checkpoint.Offset(uint64(n))
		_, stands := a.w.sink.Get(m.ID())
		what := s.held[n]
		switch {
		case stands != (what == effect || what == redriven):
			a.w.fail("effects", "of record %d of %s there is an effect: %v, and it must be so: %v", n, la.id, stands, !stands)
		case stands, s.skipped[n], s.excused[n], what == grave && a.w.plan.then == sendsLetter:
		default:
			a.w.fail("effects", "record %d of %s was passed and has no effect at the end", n, la.id)
		}
	}
}
