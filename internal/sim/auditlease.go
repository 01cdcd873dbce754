package sim

import (
	"maps"
	"slices"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/lease"
)

// order is the shards that have a history, sorted.
func (a *audit) order() []string { return slices.Sorted(maps.Keys(a.leases)) }

// writtenLease holds every change of a lease row to the protocol.
func (a *audit) writtenLease(by *process, before, after lease.Row) {
	id := lastName(after.Key)
	la := a.lease(id)
	b, r := la.row, parse[leaseRow](a.w, after.Key, after.Value)
	la.row, la.exists = r, after.Version != 0
	if la.k == nil {
		a.w.fail("rows", "%s makes a row of %s, which never was", by.name, id)
		return
	}
	switch {
	case after.Version == 0:
		a.removed(by, la, b)
		return
	case before.Version == 0:
		a.made(by, la)
		return
	}
	la.behind = a.named(la)
	switch {
	case r.Generation == b.Generation:
	case r.Owner != "":
		a.followed(by, la, b)
	default:
		a.reset(by, la, b)
		return
	}
	a.moves(by, la, b)
	switch {
	case r.Owner != "" && (r.Owner != b.Owner || r.Epoch != b.Epoch):
		a.taken(by, la, b)
	case r.Owner == "" && b.Owner != "" && r.Epoch > b.Epoch:
		a.given(by, la, b)
		la.maxEpoch = max(la.maxEpoch, r.Epoch)
	case r.Epoch != b.Epoch:
		a.w.fail("epoch", "%s changes the epoch of %s without taking it", by.name, id)
	case r.State == ended && b.State != ended:
		a.given(by, la, b)
		a.endedLease(by, la)
	case r.Owner == "" && b.Owner != "":
		a.given(by, la, b)
	}
}

func (a *audit) made(by *process, la *leaseAudit) {
	r := la.row
	if r.Owner != "" || r.Position != "" {
		a.w.fail("rows", "%s makes the row of %s with owner %q at %q", by.name, la.id, r.Owner, r.Position)
	}
	if la.removed {
		a.w.counts.add("row made again for a shard that is gone")
		return
	}
	la.restart(a.firstDue(la.k))
}

// removed holds the removal of a row to a shard that is over, and to a floor below which no epoch is handed out.
func (a *audit) removed(by *process, la *leaseAudit, b leaseRow) {
	a.w.counts.add("row removed")
	switch {
	case !la.k.gone || !la.ended:
		a.w.fail("prune", "%s removes the row of %s, gone: %v, ended: %v", by.name, la.id, la.k.gone, la.ended)
	case a.app.Floor < b.Epoch:
		a.w.fail("prune", "%s removes the row of %s in epoch %d, and the floor is %d", by.name, la.id, b.Epoch, a.app.Floor)
	}
	for _, c := range la.k.children {
		if child := a.leases[c.id]; child == nil || !child.removed && child.row.State == open && child.row.Position == "" && child.row.Generation <= b.Generation { // one that is reset meanwhile says itself where it begins
			a.w.fail("prune", "%s removes the row of %s before its child %s is past its start", by.name, la.id, c.id)
		}
	}
	la.removed = true
}

// followed holds a take that raises the generation to a child that was begun by nobody when its parents were reset.
func (a *audit) followed(by *process, la *leaseAudit, b leaseRow) {
	a.w.counts.add("child that follows a reset")
	var highest uint64
	for _, p := range la.k.parents {
		if parent := a.leases[p.id]; parent != nil {
			highest = max(highest, parent.row.Generation)
		}
	}
	if la.row.Generation < b.Generation || la.row.Generation > highest || b.Position != "" {
		a.w.fail("generation", "%s takes %s in generation %d, from %+v", by.name, la.id, la.row.Generation, b)
	}
	la.restart(a.w.stream.first(la.k, a.start(la.row.Start)))
}

// start reads where a row says that its shard begins.
func (a *audit) start(text string) (s checkpoint.Start) {
	if err := s.UnmarshalText([]byte(text)); err != nil {
		a.w.fail("start", "%v", err)
	}
	return s
}

// reset holds a reset to an operator's right: nobody owns the shard, and its descendants were reset before.
func (a *audit) reset(by *process, la *leaseAudit, b leaseRow) {
	r := la.row
	a.w.counts.add("shard reset")
	switch {
	case r.Generation < b.Generation:
		a.w.fail("generation", "%s lowers the generation of %s", by.name, la.id)
	case b.Owner != "" || r.Owner != "":
		a.w.fail("reset", "%s resets %s, which %s%s owns", by.name, la.id, b.Owner, r.Owner)
	case r.Epoch <= b.Epoch:
		a.w.fail("epoch", "%s resets %s in epoch %d", by.name, la.id, r.Epoch)
	case r.State != open || r.Position != "":
		a.w.fail("reset", "%s resets %s and leaves %+v", by.name, la.id, r)
	}
	for _, c := range la.k.children {
		if child := a.leases[c.id]; child != nil && child.exists && !c.gone && child.row.Epoch > 0 && child.row.Generation < r.Generation { // one that nobody has had comes after its parent anyway
			a.w.fail("reset", "%s resets %s to generation %d before its child %s", by.name, la.id, r.Generation, c.id)
		}
	}
	la.maxEpoch = max(la.maxEpoch, r.Epoch)
	la.ended = false
	la.restart(a.w.stream.first(la.k, a.start(r.Start)))
}

// moves holds positions to what is done.
func (a *audit) moves(by *process, la *leaseAudit, b leaseRow) {
	from, to := b.through(), la.row.through()
	switch {
	case to < from:
		a.w.fail("position", "%s moves %s back from %d to %d records", by.name, la.id, from, to)
	case to > from && a.w.plan.sink && !a.shaken(la) && to > la.sink.through():
		a.w.fail("ahead of the sink", "%s stores %d records of %s, of which the sink holds %d", by.name, to, la.id, la.sink.through())
	case to > from && to > la.done && !a.shaken(la):
		a.w.fail("position", "%s stores %d records of %s, of which %d are done", by.name, to, la.id, la.done)
	case b.State == ended && la.row.State != ended:
		a.w.fail("end", "%s opens %s again", by.name, la.id)
	}
	a.stays(by, la, b)
}

// taken holds a take to its evidence.
func (a *audit) taken(by *process, la *leaseAudit, b leaseRow) {
	r := la.row
	if r.Epoch <= la.maxEpoch {
		a.w.fail("epoch", "%s takes %s in epoch %d, and %d was handed out before", by.name, la.id, r.Epoch, la.maxEpoch)
	}
	for _, p := range la.k.parents {
		if parent := a.leases[p.id]; parent != nil && r.Epoch <= parent.maxEpoch {
			a.w.fail("epoch", "%s takes %s in epoch %d, and its parent %s had %d", by.name, la.id, r.Epoch, p.id, parent.maxEpoch)
		}
	}
	a.parentsEnded(la, "takes")
	switch {
	case la.ended:
		a.w.fail("end", "%s takes %s, which has ended", by.name, la.id)
	case b.wanted():
		a.w.fail("request", "%s takes %s, of which an operator wants %s", by.name, la.id, b.Request)
	}
	if r.through() != b.through() {
		a.w.fail("position", "%s takes %s and moves it from %d to %d records", by.name, la.id, b.through(), r.through())
	}
	if s := a.sessions[b.Owner]; b.Owner != "" && b.Owner != r.Owner {
		a.w.counts.add("take from a dead owner")
		if !a.buried(b.Owner) {
			a.w.fail("take", "%s takes %s from %s, which is not dead", by.name, la.id, b.Owner)
		}
		if s != nil && s.valid() && !a.w.plan.mad {
			a.w.fail("overlap", "%s takes %s from %s, which is valid", by.name, la.id, b.Owner)
		}
	}
	if b.Owner == r.Owner {
		a.adopted(by, la, b)
	}
	if len(la.running[by]) > 0 {
		a.w.fail("running", "%s takes %s while a handler of its own still runs", by.name, la.id)
	}
	la.maxEpoch = max(la.maxEpoch, r.Epoch)
	la.epochs[r.Epoch] = &tenure{session: r.Owner, through: r.through(), behind: la.behind}
	a.moved = a.w.now
}

// adopted holds a worker that takes its own row again to have had no answer that it could begin on.
func (a *audit) adopted(by *process, la *leaseAudit, b leaseRow) {
	a.w.counts.add("adoption of a row that names me")
	if t := la.epochs[b.Epoch]; t != nil && !t.worked && t.confirmed {
		a.w.fail("adopt", "%s takes %s again, which it read to be its own and did not begin on", by.name, la.id)
	}
}

// parentsEnded holds a child to wait for all its parents.
func (a *audit) parentsEnded(la *leaseAudit, does string) {
	for _, p := range la.k.parents {
		parent := a.leases[p.id]
		switch {
		case parent != nil && parent.exists && parent.row.State == ended:
		case parent != nil && !parent.exists && parent.ended:
		case (parent == nil || !parent.exists) && p.gone:
			a.w.counts.add("child of a parent that is gone")
		default:
			a.w.fail("lineage", "somebody %s %s before its parent %s has ended", does, la.id, p.id)
		}
	}
}

// given holds a release, or an END, to its owner, and to what still runs there.
func (a *audit) given(by *process, la *leaseAudit, b leaseRow) {
	a.moved = a.w.now
	s := a.sessions[b.Owner]
	switch {
	case s != nil && s.p == by:
	case a.w.operator.is(by) && a.buried(b.Owner) && (s == nil || !s.valid() || a.w.plan.mad):
		a.w.counts.add("dead owner taken off by an operator")
		return
	default:
		a.w.fail("release", "%s frees %s, which %s owns", by.name, la.id, b.Owner)
		return
	}
	if cs := la.running[by]; len(cs) > 0 {
		a.w.fail("release", "%s frees %s while its handler of records %v runs", by.name, la.id, cs[0].ordinals)
	}
}

// endedLease holds an END to the shard's last record and to the rows of its children.
func (a *audit) endedLease(by *process, la *leaseAudit) {
	la.ended = true
	a.endedForgotten(la)
	if total := a.w.stream.arrived(la.k, a.w.now); la.k.closed == 0 || la.done < total {
		a.w.fail("end", "%s ends %s at %d of %d records, closed %v", by.name, la.id, la.done, total, la.k.closed != 0)
	}
	for _, id := range la.row.Children {
		child := a.leases[id]
		if child == nil || !child.exists {
			a.w.fail("end", "%s ends %s, whose child %s has no row", by.name, la.id, id)
			continue
		}
		for _, p := range child.k.parents {
			if !slices.Contains(child.row.Parents, p.id) {
				a.w.fail("end", "%s ends %s, whose child %s lacks the parent %s", by.name, la.id, id, p.id)
			}
		}
	}
	if len(la.k.children) > 0 && len(la.k.children[0].parents) == 2 {
		for _, p := range la.k.children[0].parents {
			if other := a.leases[p.id]; p != la.k && (other == nil || other.row.State != ended) {
				a.w.counts.add("child waiting for its second parent")
			}
		}
	}
}
