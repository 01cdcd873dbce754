package sim

import (
	"maps"
	"slices"
	"time"
)

// settle begins the quiet: what is away comes back, one worker may die or leave once more, and from then on leases are looked at until the end.
func (w *world) settle() {
	w.trace.say("", "CALM", "")
	for _, k := range w.workers {
		k.h.cut, k.h.deaf = false, 0
	}
	short := w.plan.quiet() / 10
	up := 0
	for _, k := range w.workers {
		if k.p != nil && !k.p.dead {
			up++
		} else if w.chance(0.5) {
			w.after(w.between(0, short/2), k.start)
			up++
		}
	}
	if up == 0 {
		w.after(0, w.workers[0].start)
	}
	if w.chance(0.3) && up > 2 {
		w.after(short, w.lame)
	}
	if w.chance(0.5) {
		w.after(w.between(short, 2*short), w.lastOf("kill in quiet", (*worker).kill))
	}
	if w.chance(0.5) {
		w.after(w.between(4*short, 5*short), w.lastOf("clean stop in quiet", (*worker).leave))
	}
	w.watch()
}

// lastOf does something to a worker that runs, unless it is the last one.
func (w *world) lastOf(what string, do func(*worker)) func() {
	return func() {
		var well []*worker
		for _, k := range w.workers {
			if k.up() && k.h.deaf == 0 {
				well = append(well, k)
			}
		}
		if len(well) > 1 {
			w.counts.add(what)
			do(well[w.dice.IntN(len(well))])
		}
	}
}

// lame cripples a worker for good: the others must do without it.
func (w *world) lame() {
	if k := w.weather.victim(); k != nil && w.well() > 1 {
		w.counts.add("worker crippled for good")
		w.weather.cripple(k)
	}
}

// well is how many workers run and lack nothing.
func (w *world) well() int {
	n := 0
	for _, k := range w.workers {
		if k.up() && k.h.deaf == 0 {
			n++
		}
	}
	return n
}

// watch asserts again and again that no shard is without an owner for too long.
func (w *world) watch() {
	limit := w.plan.found()
	for _, k := range w.workers {
		if k.h.deaf != 0 {
			limit += w.timing.Expiry * 3 / 2 // it beats for an expiry after its last look
		}
	}
	for _, id := range w.audit.order() {
		la := w.audit.leases[id]
		if !w.audit.waiting(la) {
			delete(w.audit.waits, id)
			continue
		}
		since, known := w.audit.waits[id]
		if !known {
			w.audit.waits[id] = w.now
		} else if w.now-max(since, la.rests) > limit+w.overlooked(la, since) {
			w.fail("liveness", "nobody has worked on %s since %v: %+v", id, since, la.row)
		}
	}
	w.after(w.timing.Expiry/20, w.watch)
}

// overlooked is how much longer a shard may wait that was handed to somebody by name while listings were old: who missed that its row changed, and went on to a later cursor, finds it with the next
// listing of all rows, and nobody else takes it meanwhile.
func (w *world) overlooked(la *leaseAudit, since time.Duration) time.Duration {
	if la.row.Next == "" || since > w.plan.calm {
		return 0
	}
	return 15 * w.timing.Poll * 5 / 4
}

// waiting tells whether a shard should be owned and is not.
func (a *audit) waiting(la *leaseAudit) bool {
	if !la.exists || la.removed || la.row.State == ended || la.row.wanted() || a.app.Paused {
		return false
	}
	for _, p := range la.k.parents {
		if parent := a.leases[p.id]; parent != nil && parent.exists && parent.row.State != ended || !p.gone && (parent == nil || !parent.exists) {
			return false
		}
	}
	s, t := a.sessions[la.row.Owner], la.epochs[la.row.Epoch]
	return s == nil || t == nil || !s.valid() || !t.worked || t.gaveUp
}

// final asserts that everything came to rest.
func (a *audit) final() {
	w := a.w
	load := make(map[string]int)
	catching := false // what was reset late is not done yet: shards still end and come up
	for _, k := range w.workers {
		if k.up() && k.h.deaf == 0 {
			load[k.name] = 0
		}
	}
	for _, k := range w.stream.shards {
		la := a.lease(k.id)
		a.standing(la)
		if !la.exists {
			if !k.gone && !la.removed {
				w.fail("lost", "%s has no row", k.id)
			}
			continue
		}
		late := a.late(k)
		catching = catching || late
		if total := w.stream.arrived(k, w.now); la.done < total && !late {
			w.fail("lost", "of %s %d of %d records are done: %+v", k.id, la.done, total, la.row)
		}
		if k.closed != 0 && !la.removed && la.row.State != ended && !late {
			w.fail("end", "%s is closed and has not ended: %+v", k.id, la.row)
		}
		if s := a.sessions[la.row.Owner]; la.row.State == open && s != nil {
			for _, k := range w.workers {
				if k.p == s.p {
					load[k.name]++
				}
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(a.letters)) {
		w.fail("letters", "the key %s is parked at the end, with %d letters", key, len(a.letters[key]))
	}
	if catching {
		return
	}
	a.spread(load)
	if rest := w.now - a.moved; rest < 2*w.timing.Settle {
		w.fail("rest", "an owner changed %v before the end", rest)
	}
}

// late tells whether a shard, or one that it descends from, was reset and is being caught up with at the end.
func (a *audit) late(k *shard) bool {
	la := a.lease(k.id)
	return la.done < a.w.stream.arrived(k, a.w.now) && la.row.Generation > 0 && a.w.now-la.moved < a.w.timing.Expiry || slices.ContainsFunc(k.parents, a.late)
}

// spread asserts that no worker has two shards more than another.
func (a *audit) spread(load map[string]int) {
	var counts []int
	for _, n := range load {
		counts = append(counts, n)
	}
	slices.Sort(counts)
	if n := len(counts); n > 0 && counts[n-1]-counts[0] > 1 {
		a.w.fail("spread", "the shards are spread as %v", counts)
	}
}
