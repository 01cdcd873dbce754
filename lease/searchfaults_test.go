//go:build !race

package lease

import (
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
)

// searchFaults bend the protocol, one at a time, each at small bounds where that shows. why is what the search must find; "" is that it finds nothing.
var searchFaults = []struct {
	name string
	why  string
	in   bounds
	bend func(*rules, *bounds)
}{
	{
		"a heartbeat is retried with the same hb", twoOwners, sessions,
		func(r *rules, _ *bounds) {
			r.retries = true
			r.send = func(b *beats, now instant) uint64 {
				if len(b.when) == 0 {
					return b.send(now)
				}
				b.when = append(b.when, flight{b.sent, now})
				return b.sent
			}
		},
	},
	{
		"validity counts from the last sending", twoOwners, sessions,
		func(r *rules, _ *bounds) {
			r.retries = true
			r.ack = func(b *beats, hb uint64) (instant, bool) {
				var last instant
				if n := len(b.when); n > 0 {
					last = b.when[n-1].at
				}
				_, known := b.ack(hb)
				return last, known
			}
		},
	},
	{
		"validity counts from the acknowledgement", twoOwners, sessions,
		func(r *rules, _ *bounds) {
			r.ack = func(b *beats, hb uint64) (instant, bool) {
				_, known := b.ack(hb)
				return units(searchNow), known
			}
		},
	},
	{
		"a session is valid for the whole expiry", twoOwners, drifting,
		func(_ *rules, b *bounds) { b.own = b.expiry },
	},
	{
		"the evidence is read before the row", twoOwners, sessions,
		func(r *rules, _ *bounds) { r.listsFirst = true },
	},
	{
		"who owns it is not asked", twoOwners, sessions,
		func(r *rules, _ *bounds) {
			r.take = func(row shardRow, me string, e evidence) (shardRow, verdict) {
				e.owner = ownerDead
				return theRules().take(row, me, e)
			}
		},
	},
	{
		"a session is killed although its heartbeat moved", twoOwners, sessions,
		func(r *rules, _ *bounds) { r.still = func(time.Duration, time.Duration) bool { return true } },
	},
	{
		"a take before the first acknowledged heartbeat", twoOwners, removing,
		func(r *rules, _ *bounds) { r.joinCounts = true },
	},
	{
		"a session goes on whatever its row says", twoOwners, sessions,
		func(r *rules, _ *bounds) { r.mine = func(*beats, sessionRow) bool { return true } },
	},
	{
		"an owner goes on after a release that a read shows as not applied", twoOwners, aShard,
		func(r *rules, _ *bounds) { r.goesOn = true },
	},
	{
		"a row is freed while its handler runs", twoOwners, sessions,
		func(r *rules, _ *bounds) { r.freesBusy = true },
	},
	{
		"a row that names me is left alone", stuck, sessions,
		func(r *rules, _ *bounds) {
			r.take = func(row shardRow, me string, e evidence) (shardRow, verdict) {
				if row.Owner == me {
					return row, ownerLives
				}
				return theRules().take(row, me, e)
			}
		},
	},
	{
		"a take does not raise the epoch", "an epoch was handed out twice", sessions,
		func(r *rules, _ *bounds) {
			r.take = func(row shardRow, me string, e evidence) (shardRow, verdict) {
				next, why := theRules().take(row, me, e)
				next.Epoch = row.Epoch
				return next, why
			}
		},
	},
	{
		"the parent's epoch is not counted", "a child's epoch is not above its parent's", aFamily,
		func(r *rules, _ *bounds) {
			r.take = func(row shardRow, me string, e evidence) (shardRow, verdict) {
				for id, p := range e.parents {
					p.epoch = 0
					e.parents[id] = p
				}
				return theRules().take(row, me, e)
			}
		},
	},
	{
		"a child is taken although its parent is open", "a child was taken before its parent ended", aFamily,
		func(r *rules, _ *bounds) {
			r.take = func(row shardRow, me string, e evidence) (shardRow, verdict) {
				for id, p := range e.parents {
					p.state = parentEnded
					e.parents[id] = p
				}
				return theRules().take(row, me, e)
			}
		},
	},
	{
		"END before the child has a row", "a shard ended before its child had a row", aFamily,
		func(r *rules, _ *bounds) {
			r.finished = func(row shardRow, h holder, p checkpoint.Position, _ map[string]shardRow) (shardRow, error) {
				return finished(row, h, p, nil, nil)
			}
		},
	},
	{
		"the position of the take is not used", "a record is handled although its position is stored", aShard,
		func(r *rules, _ *bounds) { r.begin = func(shardRow) checkpoint.Start { return checkpoint.Start{} } },
	},
	{
		"an owner does not notice that the row is another's", "a record is handled although its position is stored", timeless,
		func(r *rules, _ *bounds) { r.holds = func(holder, shardRow) bool { return true } },
	},
	{
		// Nothing breaks: a row's version, its session's name and the rule that a process has at most one handler a shard say the same. The epoch is for
		// stores that forget writes, and for sinks.
		"the epoch is not compared", "", sessions,
		func(r *rules, _ *bounds) {
			r.holds = func(h holder, row shardRow) bool {
				h.epoch = row.Epoch
				return h.holds(row)
			}
		},
	},
}

// Each fault must be found, by a shortest way to it.
func TestSearchFindsFaults(t *testing.T) {
	t.Parallel()
	for _, f := range searchFaults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			b, r := f.in, theRules()
			f.bend(r, &b)
			e := newExplorer(b, r)
			e.seeks = f.why
			e.run()
			var found string
			var path []key
			if v := e.violation; v != nil {
				found, path = v.why, append(e.path(v.from), v.to)
			} else if n, is := e.stuck(); is {
				found, path = stuck, append(e.path(n), e.fairWalk(n)...)
			}
			if found != f.why {
				t.Errorf("found %q in %d states, want %q", found, len(e.keys), f.why)
			}
			t.Logf("%q: %d states, %d steps\n%s", found, len(e.keys), len(path), e.trace(path))
		})
	}
}
