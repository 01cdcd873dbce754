package sim

import (
	"slices"
	"strings"
)

// firstDue is the ordinal of the first record that must be handled.
func (a *audit) firstDue(k *shard) int {
	return a.w.stream.first(k, a.start(a.pinned))
}

// begins is called when a process has a lease to work on.
func (a *audit) begins(j *job) {
	la := a.lease(j.l.Shard().ID)
	t := la.epochs[j.l.Epoch()]
	switch {
	case t == nil || t.session != j.l.Session():
		a.w.fail("work", "%s works on %s in epoch %d, which is not its own", j.p.name, la.id, j.l.Epoch())
		return
	case t.worked:
		a.w.fail("work", "%s works on %s in epoch %d twice", j.p.name, la.id, j.l.Epoch())
	}
	t.worked = true
}

// began is called when it is known where the work begins.
func (a *audit) began(j *job) {
	la := a.lease(j.l.Shard().ID)
	t := la.epochs[j.l.Epoch()]
	switch {
	case t == nil:
		return
	case a.w.plan.sink:
		a.resumes(j, la)
	case t.through > 0 && j.first != t.through:
		a.w.fail("position", "%s begins on %s at record %d, and its take carried %d", j.p.name, la.id, j.first, t.through)
	}
	if j.p.w.trace.on() {
		j.p.w.trace.say(j.p.name, "work", "%s epoch %d from record %d", la.id, j.l.Epoch(), j.first)
	}
}

// handles is called when a handler is about to be called.
func (a *audit) handles(j *job, c *call) {
	w, la, ns := a.w, a.lease(j.l.Shard().ID), c.ordinals
	if w.trace.on() {
		w.trace.say(j.p.name, "handle", "%s records %v of %v epoch %d", la.id, ns, c.keys, j.l.Epoch())
	}
	r := la.row
	t := la.epochs[j.l.Epoch()]
	mine := r.Owner == j.l.Session() && r.Epoch == j.l.Epoch() && r.Generation == j.l.Generation() && r.State == open
	if !mine && w.plan.mad {
		w.counts.add("two owners with clocks beyond the bound")
		la.running[j.p] = append(la.running[j.p], c)
		return
	}
	switch {
	case !mine:
		w.fail("overlap", "%s hands out records %v of %s in epoch %d, and the row says %+v", j.p.name, ns, la.id, j.l.Epoch(), r)
	case !a.sessions[j.l.Session()].valid():
		w.fail("validity", "%s hands out records %v of %s although its session lapsed", j.p.name, ns, la.id)
	case t.gaveUp:
		w.fail("over", "%s hands out records %v of %s in epoch %d after it sent its release or end", j.p.name, ns, la.id, j.l.Epoch())
	case j.window > 0 && !w.plan.sink && len(t.loose)+flying(la.running[j.p])+len(c.ordinals) > j.window:
		w.fail("repeat", "%s hands out records %v of %s, of which it has %v and stored %d: more than its window of %d", j.p.name, ns, la.id, t.loose, la.row.through(), j.window)
	}
	for i, n := range ns {
		switch {
		case w.plan.sink: // what was done before comes again, and the sink knows
		case la.covers(n):
			w.fail("repeat", "%s hands out record %d of %s again, of which %d are stored, and %v behind them", j.p.name, n, la.id, la.row.through(), la.behind)
		case t.behind[n]:
			w.fail("repeat", "%s hands out record %d of %s, which the row that it took said to be done", j.p.name, n, la.id)
		}
		a.inOrder(j, la, c, i)
		a.awaited(j, c.keys[i], n)
	}
	a.parentsEnded(la, "works on")
	for _, p := range la.k.parents {
		if parent := a.leases[p.id]; parent != nil && parent.exists && parent.done < w.stream.arrived(p, w.now) {
			w.fail("lineage", "records %v of %s are handed out, and of its parent %s only %d are done", ns, la.id, p.id, parent.done)
		}
	}
	for _, n := range ns {
		if la.begun[n] {
			w.counts.add("record repeated")
		}
		la.begun[n] = true
	}
	la.running[j.p] = append(la.running[j.p], c)
}

func flying(calls []*call) (records int) {
	for _, c := range calls {
		records += len(c.ordinals)
	}
	return records
}

// handled is called when a handler returns.
func (a *audit) handled(j *job, c *call, done bool) {
	la := a.lease(j.l.Shard().ID)
	la.running[j.p] = slices.DeleteFunc(la.running[j.p], func(other *call) bool { return other == c })
	if a.w.trace.on() {
		a.w.trace.say(j.p.name, "handled", "%s records %v epoch %d: %v", la.id, c.ordinals, j.l.Epoch(), done)
	}
	if !done {
		return
	}
	t := la.epochs[j.l.Epoch()]
	for _, n := range c.ordinals {
		if !a.w.plan.sink {
			a.complete(la, j, n)
		}
		if j.l.Generation() == la.row.Generation && !la.covers(n) {
			t.loose = append(t.loose, n)
		}
	}
}

// stored is called when a lease says that a position is stored.
func (a *audit) stored(j *job, through int) {
	la := a.lease(j.l.Shard().ID)
	if la.row.Generation == j.l.Generation() && la.row.through() < through {
		a.w.fail("stored", "%s was told that %d records of %s are stored, and %d are", j.p.name, through, la.id, la.row.through())
	}
}

// gaveUp is called when a release or an END has returned, which was to store so many records.
func (a *audit) gaveUp(j *job, err error, what string, through int) {
	la := a.lease(j.l.Shard().ID)
	if a.w.trace.on() {
		a.w.trace.say(j.p.name, what, "%s epoch %d through %d: %v", la.id, j.l.Epoch(), through, err)
	}
	if err != nil {
		return
	}
	if through > j.first {
		a.stored(j, through)
	}
	t := la.epochs[j.l.Epoch()]
	if t.loose = slices.DeleteFunc(t.loose, la.covers); len(t.loose) > 0 && !a.w.plan.sink { // by now another's row may say so, who was not the slower one
		a.w.fail("handoff", "%s gives %s up, and nothing that is stored says that records %v are done", j.p.name, la.id, t.loose)
	}
	if r := la.row; r.Owner == j.l.Session() && r.Epoch == j.l.Epoch() {
		a.w.fail("release", "%s was told that epoch %d of %s is over, and the row still says %+v", j.p.name, j.l.Epoch(), la.id, r)
	}
}

// exited is called when a process has ended, and its handlers with it.
func (a *audit) exited(p *process) {
	for _, la := range a.leases {
		delete(la.running, p)
	}
}

// wantedBack is called when a shard is to be given up: to spread the load, not before the settle delay.
func (a *audit) wantedBack(j *job) {
	w := a.w
	if w.operator.busy || j.p.stopped || w.timing.Watchdog > 0 || a.asked(j) {
		return
	}
	if had := j.p.mono() - j.begun; had < w.timing.Settle {
		w.fail("settle", "%s gives up %s, which it has had for %s", j.p.name, j.l.Shard().ID, seconds(had))
	}
}

// asked tells whether an operator wants a shard, rests the application or drains the worker, one that was killed since included.
func (a *audit) asked(j *job) bool {
	rests := func(key, word string) bool { return strings.Contains(string(a.w.store.row(key).Value), word) }
	return a.lease(j.l.Shard().ID).row.wanted() || rests(app+"/A", `"paused":true`) || rests(app+"/M/"+j.l.Session(), `"drain":true`)
}
