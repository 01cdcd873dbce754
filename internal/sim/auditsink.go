package sim

import (
	"errors"
	"maps"
	"math"
	"slices"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
)

// sinkAudit is what the sink must hold of a shard in its generation, by the account of what it said.
type sinkAudit struct {
	sinkState
	overs      int          // fail-overs of the sink when the shard was sealed last
	generation uint64       // in which it was
	skipped    map[int]bool // records that are left out
	forgot     map[int]bool // records that were held before a fail-over, and are not
	excused    map[int]bool // likewise, and the sink let them pass: nobody noticed
}

// sinkState is what a fail-over forgets.
type sinkState struct {
	fence  dedup.Mark // who sealed it last
	origin int        // where the generation began
	low    checkpoint.Position
	held   map[int]holding
	last   map[string]int // by lane, the last record that is held
}

// holding is what the sink holds of a record.
type holding uint8

const (
	effect holding = iota + 1
	grave
	redriven
)

// through is how many records low covers.
func (s *sinkState) through() int {
	if s.low.IsEnd() {
		return math.MaxInt
	}
	if n, some := s.low.Offset(); some {
		return int(n) + 1
	}
	return s.origin
}

// by tells whether a mark is of who sealed the shard last.
func (s *sinkState) by(m dedup.Mark) bool {
	return s.fence.Epoch == m.Epoch && s.fence.Session == m.Session && s.fence.Generation == m.Generation
}

// passes tells whether a record counts as done for the sink, held or not.
func (s *sinkState) passes(n int, lane string) bool { return n < s.through() || n <= s.last[lane]-1 }

// left notes that a job leaves out a record.
func (s *sinkAudit) left(j *job, n int) {
	if s.skipped != nil && j.l.Generation() == s.fence.Generation {
		s.skipped[n] = true
	}
}

// shaken tells whether the sink has failed over since the shard was sealed: what its owner did before may be forgotten, and it may not have noticed.
func (a *audit) shaken(la *leaseAudit) bool { return la.sink.overs != a.overs }

// lane is by what a record is ordered in the sink.
func (a *audit) lane(la *leaseAudit, n int) string {
	if a.w.plan.scope == dedup.PerShard {
		return ""
	}
	return a.w.stream.key(la.k, n)
}

// refusedBySink counts what the sink refused, and tells whether it did anything.
func (a *audit) refusedBySink(la *leaseAudit, m dedup.Mark, err error) bool {
	switch {
	case err == nil:
		return false
	case errors.Is(err, dedup.ErrNotSealed) && la.sink.by(m):
		a.w.counts.add("owner whose sink has forgotten where it stood")
	case errors.Is(err, dedup.ErrNotSealed):
		a.w.counts.add("owner of whom the sink has forgotten")
	case errors.Is(err, dedup.ErrFenced) && m.Epoch == la.sink.fence.Epoch:
		a.w.counts.add("epoch that was handed out twice")
	case errors.Is(err, dedup.ErrFenced):
		a.w.counts.add("zombie fenced by the sink")
	}
	return true
}

// sealed is called when a Seal has reached the sink.
func (a *audit) sealed(j *job, m dedup.Mark, low checkpoint.Position, err error) {
	la := a.lease(m.Shard)
	s := &la.sink
	if a.w.trace.on() {
		a.w.trace.say(j.p.name, "seal", "%s epoch %d generation %d at %q: %q, %v", la.id, m.Epoch, m.Generation, m.Position, low, err)
	}
	if a.refusedBySink(la, m, err) {
		return
	}
	f := s.fence
	switch {
	case m.Epoch < f.Epoch, m.Epoch == f.Epoch && m.Session != f.Session:
		a.w.fail("fence", "%s seals %s as %s in epoch %d, which %s has sealed in epoch %d", j.p.name, la.id, m.Session, m.Epoch, f.Session, f.Epoch)
	case m.Generation < f.Generation:
		a.w.fail("generation", "%s seals %s in generation %d, which is sealed in generation %d", j.p.name, la.id, m.Generation, f.Generation)
	case m.Epoch == f.Epoch:
		a.w.counts.add("shard sealed again")
	}
	unnoticed := "and passed in the same epoch"
	if m.Generation > f.Generation || f.Epoch == 0 {
		unnoticed = "with the seal"
		s.sinkState = sinkState{origin: a.w.stream.first(la.k, j.l.Origin()), low: m.Position, held: make(map[int]holding), last: make(map[string]int)}
	}
	if s.skipped == nil || m.Generation != s.generation {
		s.generation, s.skipped, s.excused = m.Generation, make(map[int]bool), make(map[int]bool)
	}
	s.fence = m
	if low != s.low {
		a.w.fail("seal", "%s is told that the sink stands at %q of %s, and it must at %q", j.p.name, low, la.id, s.low)
	}
	if m.Generation == la.generation {
		a.passed(la, unnoticed, func(n int) bool { return s.passes(n, a.lane(la, n)) })
	}
	if !j.sealed { // one that comes late tells its owner nothing
		s.overs = a.overs
	}
}

// passed excuses the records that a fail-over forgot and that pass all the same, which the sinks say of themselves: an owner went on above marks of keys that were forgotten and nothing else; the seal was forgotten too, so
// that what the lease says is taken for true; or the shard had ended, and nobody seals it again.
func (a *audit) passed(la *leaseAudit, why string, passes func(n int) bool) {
	for _, n := range slices.Sorted(maps.Keys(la.sink.forgot)) {
		if passes(n) {
			a.w.counts.add("effect that was forgotten " + why)
			delete(la.sink.forgot, n)
			la.sink.excused[n] = true
			a.becomes(la, n)
		}
	}
}

// resumes holds a job to begin where the sink stands.
func (a *audit) resumes(j *job, la *leaseAudit) {
	if !a.shaken(la) && la.sink.by(j.stamp()) && !la.sink.low.IsEnd() && j.first != la.sink.through() {
		a.w.fail("resume", "%s begins on %s at record %d, and the sink holds %d", j.p.name, la.id, j.first, la.sink.through())
	}
}

// writes holds who writes to be the owner whom the sink knows.
func (a *audit) writes(j *job, la *leaseAudit, m dedup.Mark) {
	if !la.sink.by(m) {
		a.w.fail("fence", "%s writes to the sink of %s as %s in epoch %d, generation %d, and %s has sealed it in epoch %d, generation %d", j.p.name, la.id, m.Session, m.Epoch, m.Generation,
			la.sink.fence.Session, la.sink.fence.Epoch, la.sink.fence.Generation)
	}
}

// applied is called when an Apply has reached the sink: done is what it has applied of ms.
func (a *audit) applied(j *job, ms, done []dedup.Mark, err error) {
	la := a.lease(j.k.id)
	if a.w.trace.on() {
		a.w.trace.say(j.p.name, "apply", "%s records %v of %d epoch %d: %v", la.id, positions(done), len(ms), ms[0].Epoch, err)
	}
	switch {
	case a.refusedBySink(la, ms[0], err):
		return
	case len(done) < len(ms):
		a.w.counts.add("records that the sink holds already")
	}
	if len(done) > 0 {
		a.writes(j, la, ms[0])
	}
	for _, n := range positions(done) {
		a.holds(j, la, n, effect)
	}
}

// holds is called when the sink has come to hold a record.
func (a *audit) holds(j *job, la *leaseAudit, n int, what holding) {
	s, lane := &la.sink, a.lane(la, n)
	if s.passes(n, lane) || s.held[n] != 0 {
		a.w.fail("effects", "%s has record %d of %s applied, below %d or after record %d of its lane", j.p.name, n, la.id, s.through(), s.last[lane]-1)
	}
	for earlier := la.done; earlier < n && j.l.Generation() == la.generation && !a.shaken(la); earlier++ {
		if !la.above[earlier] && a.lane(la, earlier) == lane {
			a.w.fail("effects", "%s has record %d of %s applied, and record %d of its lane is not done", j.p.name, n, la.id, earlier)
		}
	}
	if a.w.plan.scope == dedup.PerShard { // each write moves low, so that an owner knows where it stood
		for earlier := range s.forgot {
			if earlier < n {
				a.w.fail("effects", "%s goes on at record %d of %s above what the sink has forgotten", j.p.name, n, la.id)
			}
		}
	}
	if s.forgot[n] {
		a.w.counts.add("effect that was forgotten and came again")
		delete(s.forgot, n)
	}
	s.held[n], s.last[lane] = what, n+1
	if a.w.plan.scope == dedup.PerShard {
		s.low = checkpoint.Offset(uint64(n))
	}
	a.complete(la, j, n)
}

// buriedIn is called when a Bury has reached the sink.
func (a *audit) buriedIn(j *job, ms []dedup.Mark, err error) {
	la := a.lease(j.k.id)
	if a.w.trace.on() {
		a.w.trace.say(j.p.name, "bury", "%s records %v epoch %d: %v", la.id, positions(ms), ms[0].Epoch, err)
	}
	if a.refusedBySink(la, ms[0], err) {
		return
	}
	for _, n := range positions(ms) {
		if la.sink.passes(n, a.lane(la, n)) {
			a.w.counts.add("record given up that the sink holds already")
			continue
		}
		a.writes(j, la, ms[0])
		a.w.counts.add("record buried")
		a.holds(j, la, n, grave)
	}
}

// advanced is called when an Advance has reached the sink.
func (a *audit) advanced(j *job, m dedup.Mark, err error) {
	la := a.lease(j.k.id)
	if a.w.trace.on() {
		a.w.trace.say(j.p.name, "advance", "%s epoch %d to %q: %v", la.id, m.Epoch, m.Position, err)
	}
	if a.refusedBySink(la, m, err) {
		return
	}
	a.writes(j, la, m)
	if !la.sink.low.Before(m.Position) {
		return
	}
	la.sink.low = m.Position
	if n, some := m.Position.Offset(); some && int(n) >= la.done && m.Generation == la.generation && !a.shaken(la) {
		a.w.fail("watermark", "%s has the sink stand at record %d of %s, of which %d are done", j.p.name, n, la.id, la.done)
	}
}

// finished holds records that count as done for their job to be held by the sink.
func (a *audit) finished(j *job, ns []int) {
	la := a.lease(j.k.id)
	if !a.w.plan.sink || a.shaken(la) || !la.sink.by(j.stamp()) {
		return
	}
	for _, n := range ns {
		if !la.sink.skipped[n] && !la.sink.passes(n, a.lane(la, n)) {
			a.w.fail("effects", "record %d of %s counts as done for %s, and the sink does not hold it", n, la.id, j.p.name)
		}
	}
}

// redrove is called when a redrive has reached the sink: fresh says that its effect was made.
func (a *audit) redrove(p *process, m dedup.Mark, fresh bool, err error) {
	la := a.lease(m.Shard)
	n := positions([]dedup.Mark{m})[0]
	s, is := &la.sink, m.Generation == la.sink.fence.Generation
	if a.w.trace.on() {
		a.w.trace.say(p.name, "redrive", "%s record %d generation %d, fresh %v: %v", la.id, n, m.Generation, fresh, err)
	}
	switch {
	case errors.Is(err, dedup.ErrPending):
		a.w.counts.add("redrive that is too early")
		if is && s.passes(n, a.lane(la, n)) {
			a.w.fail("letters", "record %d of %s is not redriven, for it is with its owner, and the sink has passed it", n, la.id)
		}
	case err != nil:
	case fresh && is && s.held[n] != grave:
		a.w.fail("letters", "record %d of %s is redriven, and does not rest among the dead", n, la.id)
	case fresh && is:
		s.held[n] = redriven
	case fresh && s.held[n] != 0 && m.Generation < s.fence.Generation:
		a.w.fail("generation", "record %d of %s is redriven in generation %d, after it was applied in generation %d", n, la.id, m.Generation, s.fence.Generation)
	case fresh:
		a.w.counts.add("letter of an older generation redriven")
	case is && s.held[n] == grave:
		a.w.fail("letters", "record %d of %s counts as void, and rests among the dead", n, la.id)
	case !is:
		a.w.counts.add("letter of an older generation that is void")
	default:
		a.w.counts.add("letter that is void")
	}
}

func positions(ms []dedup.Mark) []int {
	ns := make([]int, len(ms))
	for i, m := range ms {
		n, _ := m.Position.Offset()
		ns[i] = int(n)
	}
	return ns
}
