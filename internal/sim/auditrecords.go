package sim

import (
	"maps"
	"slices"

	"github.com/runnelhq/runnel/checkpoint"
)

// inOrder holds a record to come after the earlier ones of its key, which are done, or in the same call before it.
func (a *audit) inOrder(j *job, la *leaseAudit, c *call, i int) {
	if a.shaken(la) { // what its owner has done is not in the sink any longer
		return
	}
	n, key := c.ordinals[i], c.keys[i]
	for earlier := la.done; earlier < n; earlier++ {
		if !la.above[earlier] && a.w.stream.key(la.k, earlier) == key && !slices.Contains(c.ordinals[:i], earlier) {
			a.w.fail("order", "%s hands out record %d of %s, and record %d of its key %s is not done", j.p.name, n, la.id, earlier, key)
		}
	}
	for _, other := range la.running[j.p] {
		if slices.Contains(other.keys, key) {
			a.w.fail("order", "%s hands out record %d of %s, and records %v, with one of its key, are in another call", j.p.name, n, la.id, other.ordinals)
		}
	}
}

// complete is called when a record is done for good.
func (a *audit) complete(la *leaseAudit, j *job, n int) {
	if j.l.Generation() == la.row.Generation {
		a.becomes(la, n)
	}
}

// becomes notes that a record is done.
func (a *audit) becomes(la *leaseAudit, n int) {
	if la.finished(n) {
		return
	}
	la.above[n] = true
	for ; la.above[la.done]; la.done++ {
		delete(la.above, la.done)
	}
	la.moved = a.w.now
}

// fails is called when a handler says that it could not handle its records.
func (a *audit) fails(j *job, c *call) {
	a.w.counts.add("call that failed")
	if len(c.ordinals) == 1 {
		a.lease(j.k.id).alone[attempt{j, c.ordinals[0]}]++
	}
}

// givesUp is called when a record is given up: it failed alone as often as it may.
func (a *audit) givesUp(j *job, n int) {
	if failed := a.lease(j.k.id).alone[attempt{j, n}]; failed < a.w.plan.attempts {
		a.w.fail("attempts", "%s gives up record %d of %s, which failed %d times, and may %d times", j.p.name, n, j.k.id, failed, a.w.plan.attempts)
	}
}

// skipped is called when records are left out.
func (a *audit) skipped(j *job, ns []int) {
	for _, n := range ns {
		la := a.lease(j.k.id)
		a.complete(la, j, n)
		la.sink.left(j, n)
	}
}

// named reads what a row says to be done behind its position.
func (a *audit) named(la *leaseAudit) map[int]bool {
	if la.row.Ahead == "" {
		return nil
	}
	ahead, err := checkpoint.ParseAhead(la.row.Ahead)
	first, is := ahead.First().Offset()
	if err != nil || !is {
		a.w.fail("rows", "%q behind the position of %s: %v", la.row.Ahead, la.id, err)
	}
	behind := make(map[int]bool, ahead.Len())
	for n := range ahead.All() {
		behind[int(first)+n] = true
	}
	return behind
}

// stays holds what is named behind a position to be done, and takes what is stored off what the epoch has done.
func (a *audit) stays(by *process, la *leaseAudit, b leaseRow) {
	for _, n := range slices.Sorted(maps.Keys(la.behind)) {
		if !la.finished(n) {
			a.w.fail("ahead", "%s stores that record %d of %s is done, behind %d, and it is not", by.name, n, la.id, la.row.through())
		}
	}
	if t := la.epochs[b.Epoch]; t != nil && la.row.Epoch == b.Epoch {
		t.loose = slices.DeleteFunc(t.loose, la.covers)
	}
}
