package main

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// The rules that are checked.
const (
	ruleLost     = "lost"       // every record that was put was handled
	ruleUnknown  = "unknown"    // nothing else was
	ruleOrder    = "order"      // in an epoch, records come in the order of the shard and without holes; a new owner leaves none out
	ruleKey      = "key order"  // no record of a key was begun before the one ahead of it was done, across shards
	ruleRepeats  = "repeats"    // no more than the checkpoint strategy allows, and none after a clean end
	ruleOwners   = "two owners" // once a shard's next owner has begun, no call of an earlier one begins, but for one that was let in before its process froze
	ruleEpochs   = "epochs"     // an epoch of a shard is one session's
	ruleLineage  = "lineage"    // a shard begins after all its parents have ended
	ruleRows     = "rows"       // leases never go back
	ruleTakeover = "takeover"   // the shards of a dead worker are handled again in time
	ruleProcess  = "process"    // no worker ends by itself, or other than cleanly when it is told to
)

// verify holds a history against every rule.
func verify(h history) ([]violation, findings) {
	l := newLedger(h)
	l.checkLost()
	l.checkKeys()
	for _, id := range l.ids() {
		l.checkOrder(id)
		l.checkRepeats(id)
		l.checkOwners(id)
		l.checkLineage(id)
	}
	l.checkRows()
	l.checkTakeovers()
	l.checkProcesses()
	return l.violations, l.found
}

func (l *ledger) checkLost() {
	for _, id := range slices.Sorted(maps.Keys(l.shards)) {
		handled := make(map[int]bool)
		for _, t := range l.tenures[id] {
			for _, c := range t.calls {
				if c.done > 0 {
					handled[c.place] = true
				}
			}
		}
		for i, r := range l.shards[id] {
			if !handled[i] {
				l.violated(ruleLost, "record %s at %s of shard %s was never handled", r, r.Position, id)
			}
		}
	}
}

func (l *ledger) checkOrder(id string) {
	next := 0 // the first place that no earlier epoch has done
	for _, t := range l.tenures[id] {
		reached := next
		for i, c := range t.calls {
			switch {
			case c.place < 0 || l.shards[id][c.place].Key != c.record.Key || l.shards[id][c.place].N != c.record.N:
				l.violated(ruleUnknown, "%s: record %s at %s was handled, and nobody put it there", t, c.record, c.record.Position)
			case i == 0 && c.place > next:
				l.violated(ruleOrder, "%s begins with record %s, place %d of the shard, though the record of place %d was not done", t, c.record, c.place, next)
			case i > 0 && c.place == t.calls[i-1].place && c.attempt == t.calls[i-1].attempt+1:
			case i > 0 && c.place != t.calls[i-1].place+1:
				l.violated(ruleOrder, "%s: record %s, place %d of the shard, follows record %s, place %d", t, c.record, c.place, t.calls[i-1].record, t.calls[i-1].place)
			}
			if c.done > 0 {
				reached = max(reached, c.place+1)
			}
		}
		next = reached
	}
}

func (l *ledger) checkKeys() {
	type times struct {
		begun, done time.Duration
		worker      string
	}
	first := make(map[string]map[int]times)
	for _, id := range l.ids() {
		for _, t := range l.tenures[id] {
			for _, c := range t.calls {
				if first[c.record.Key] == nil {
					first[c.record.Key] = make(map[int]times)
				}
				f, seen := first[c.record.Key][c.record.N]
				if !seen || c.begun < f.begun {
					f.begun, f.worker = c.begun, t.worker
				}
				if c.done > 0 && (f.done == 0 || c.done < f.done) {
					f.done = c.done
				}
				first[c.record.Key][c.record.N] = f
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(first)) {
		for n, f := range first[key] {
			ahead, seen := first[key][n-1]
			if n > 1 && (!seen || ahead.done == 0 || ahead.done > f.begun) {
				l.violated(ruleKey, "record %s/%d was begun by %s before %s/%d was done", key, n, f.worker, key, n-1)
			}
		}
	}
}

func (l *ledger) checkRepeats(id string) {
	last := make(map[int]*tenure) // who was the last to begin the record of a place
	for _, t := range l.tenures[id] {
		repeats := 0
		for _, c := range t.calls {
			before := last[c.place]
			last[c.place] = t
			switch {
			case before == nil || before == t:
			case before.clean:
				l.found.repeats++
				l.violated(ruleRepeats, "%s: record %s is repeated, though %s was given up cleanly", t, c.record, before)
			default:
				repeats++
			}
		}
		l.found.repeats += repeats
		l.found.most = max(l.found.most, repeats)
		if repeats > l.bound {
			l.violated(ruleRepeats, "%s: %d records are repeated, at most %d may be", t, repeats, l.bound)
		}
	}
}

func (l *ledger) checkOwners(id string) {
	all := l.tenures[id]
	for i, t := range all {
		if i > 0 && t.epoch == all[i-1].epoch {
			l.violated(ruleEpochs, "%s: the epoch is that of %s, too", t, all[i-1].worker)
		}
		var heir *tenure
		for _, other := range all[i+1:] {
			if other.epoch > t.epoch && len(other.calls) > 0 && (heir == nil || other.calls[0].begun < heir.calls[0].begun) {
				heir = other
			}
		}
		if heir == nil {
			continue
		}
		late := 0
		for _, c := range t.calls {
			if c.begun <= heir.calls[0].begun {
				continue
			}
			if late++; late > 1 || !l.froze(t.worker, heir.calls[0].begun, c.begun) {
				l.violated(ruleOwners, "%s begins record %s %v after the first record of %s", t, c.record, c.begun-heir.calls[0].begun, heir)
			}
		}
		l.found.late += min(late, 1)
	}
}

// froze tells whether a worker did not run from before an instant until just before, or after, another.
func (l *ledger) froze(worker string, before, until time.Duration) bool {
	return slices.ContainsFunc(l.freezes[worker], func(f event) bool {
		return f.From <= before && f.At >= before && f.At >= until-time.Second
	})
}

func (l *ledger) checkLineage(id string) {
	var first *tenure
	for _, t := range l.tenures[id] {
		if len(t.calls) > 0 && (first == nil || t.calls[0].begun < first.calls[0].begun) {
			first = t
		}
	}
	if first == nil {
		return
	}
	begun := first.calls[0].begun
	for _, parent := range l.parents[id] {
		if at := l.ended(parent); at == 0 || at > begun {
			l.violated(ruleLineage, "%s begins before its parent %s has ended", first, parent)
		}
		handled := make(map[int]bool)
		for _, t := range l.tenures[parent] {
			for _, c := range t.calls {
				if c.done > 0 && c.done < begun {
					handled[c.place] = true
				}
			}
		}
		for i, r := range l.shards[parent] {
			if !handled[i] {
				l.violated(ruleLineage, "%s begins before record %s of its parent %s was done", first, r, parent)
				break
			}
		}
	}
}

// ended is when it was first written that a shard has ended; 0: it was not.
func (l *ledger) ended(shard string) time.Duration {
	for _, e := range l.events {
		if e.Kind == sent && e.Shard == shard && e.State == "ended" {
			return e.At
		}
	}
	return 0
}

func (l *ledger) checkProcesses() {
	for _, e := range l.events {
		if e.Kind != ended {
			continue
		}
		switch {
		case e.Failed:
			l.violated(ruleProcess, "%s ended by itself: %s", e.Worker, e.Text)
		case strings.HasPrefix(e.Text, "exit status") && !l.cutDuringStop(e):
			l.violated(ruleProcess, "%s did not stop cleanly, though its store was there: %s", e.Worker, e.Text)
		}
	}
}

// cutDuringStop tells whether a worker was, while it stopped, without its store: it cannot give up its shards then.
func (l *ledger) cutDuringStop(e event) bool {
	for _, stop := range l.deeds {
		if stop.Kind != deedLeave || stop.Worker != e.Worker {
			continue
		}
		return slices.ContainsFunc(l.deeds, func(d deed) bool {
			return d.cuts() && (d.Worker == "" || d.Worker == e.Worker) && d.From < stop.To && d.To > stop.From
		})
	}
	return false
}
