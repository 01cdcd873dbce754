package sim

import (
	"strings"
	"time"

	"github.com/runnelhq/runnel/lease"
)

// audit watches all that happens in a world, and says when something must not. It reads rows by itself and judges a session's validity by its own
// account of heartbeats.
type audit struct {
	w        *world
	leases   map[string]*leaseAudit   // by shard
	sessions map[string]*sessionAudit // by name
	app      appRow
	pinned   string // the start that LATEST became
	waits    map[string]time.Duration
	moved    time.Duration        // when an owner last changed
	letters  map[string][]pending // of parked keys, in their order
	overs    int                  // fail-overs of the sink
	asking   map[*task][]asked    // shards of which a task has just written a take, and what it reads next says what became of it
}

// leaseAudit is what happened to a shard's lease.
type leaseAudit struct {
	id         string
	k          *shard
	exists     bool
	removed    bool // its row was
	ended      bool // in this generation
	row        leaseRow
	maxEpoch   uint64
	epochs     map[uint64]*tenure
	done       int           // records handled, or given up, without a gap, in this generation
	above      map[int]bool  // likewise, above the gap
	begun      map[int]bool  // likewise begun
	moved      time.Duration // when the last one became done
	behind     map[int]bool  // what the row says to be done behind its position
	running    map[*process][]*call
	alone      map[attempt]int // failures of a record alone
	origin     int             // where this generation began
	generation uint64
	sink       sinkAudit
	rests      time.Duration // until then it may be left alone, for the sink refused its owner
	reused     uint64        // how many epochs the store of leases has forgotten, as the sink sees it
}

// attempt is a record in the hands of a job.
type attempt struct {
	j *job
	n int
}

// finished tells whether a record is done.
func (la *leaseAudit) finished(n int) bool { return n < la.done || la.above[n] }

// covers tells whether the row says that a record is done.
func (la *leaseAudit) covers(n int) bool { return n < la.row.through() || la.behind[n] }

// restart begins anew at a record.
func (la *leaseAudit) restart(n int) {
	la.done, la.above, la.begun, la.alone = n, make(map[int]bool), make(map[int]bool), make(map[attempt]int)
	la.origin, la.generation, la.sink.forgot = n, la.row.Generation, make(map[int]bool)
}

// tenure is an epoch of a lease.
type tenure struct {
	session   string
	through   int          // records covered by the position that the take carried
	behind    map[int]bool // and those that it names behind that
	loose     []int        // what was handled in it, and no row of it covers
	worked    bool
	gaveUp    bool // a release or an END of it was sent
	confirmed bool // the read after the take showed it to its owner
}

// asked is a take that was sent.
type asked struct {
	shard  string
	epoch  uint64
	failed bool // its answer was an error, or there was none
}

func newAudit(w *world) *audit {
	return &audit{w: w, leases: make(map[string]*leaseAudit), sessions: make(map[string]*sessionAudit), waits: make(map[string]time.Duration), letters: make(map[string][]pending), asking: make(map[*task][]asked)}
}

func (a *audit) lease(id string) *leaseAudit {
	la := a.leases[id]
	if la == nil {
		la = &leaseAudit{id: id, k: a.w.stream.byID[id], epochs: make(map[uint64]*tenure), running: make(map[*process][]*call)}
		la.restart(0)
		a.leases[id] = la
	}
	return la
}

// shardOf is the shard of a lease row's key.
func shardOf(key string) (string, bool) {
	if !strings.HasPrefix(key, shards) {
		return "", false
	}
	return lastName(key), true
}

// sent is called when a process sends rows to be written.
func (a *audit) sent(p *process, rows []lease.Row) {
	for _, row := range rows {
		switch {
		case strings.HasPrefix(row.Key, sessions):
			if s := a.session(lastName(row.Key), p); s.p == p {
				s.sent(row, parse[sessionRow](a.w, row.Key, row.Value))
			}
		case strings.HasPrefix(row.Key, shards):
			a.sentLease(p, row)
		}
	}
}

// sentLease holds a sender to what it may still store.
func (a *audit) sentLease(p *process, row lease.Row) {
	id := lastName(row.Key)
	la, r := a.lease(id), parse[leaseRow](a.w, row.Key, row.Value)
	before := la.epochs[r.Epoch]
	if s := a.sessions[r.Owner]; before == nil && s != nil && s.p == p {
		a.asking[a.w.current] = append(a.asking[a.w.current], asked{shard: id, epoch: r.Epoch})
	}
	if before == nil || a.sessions[before.session] == nil || a.sessions[before.session].p != p {
		return
	}
	mine := r.Owner == before.session
	switch {
	case mine && before.gaveUp:
		a.w.fail("over", "%s stores in epoch %d of %s after it sent its release or end", p.name, r.Epoch, id)
	case mine && !a.sessions[before.session].valid():
		a.w.fail("validity", "%s stores in epoch %d of %s although its session lapsed", p.name, r.Epoch, id)
	case !mine && (r.Owner == "" || r.State == ended):
		before.gaveUp = true
	}
}

// acknowledged is called when a process has the answers.
func (a *audit) acknowledged(p *process, rows []lease.Row, errs []error) {
	for i, row := range rows {
		failed := errs != nil && errs[i] != nil
		if id, ok := shardOf(row.Key); ok && failed {
			a.doubt(id)
		}
		if !failed && strings.HasPrefix(row.Key, sessions) {
			if s := a.session(lastName(row.Key), p); s.p == p {
				s.seen(parse[sessionRow](a.w, row.Key, row.Value))
			}
		}
	}
}

// answered is called when a process has read rows, or none if it had no answer.
func (a *audit) answered(p *process, rows []lease.Row) {
	asking := a.asking[a.w.current]
	delete(a.asking, a.w.current)
	for _, row := range rows {
		if row.Version == 0 {
			continue
		}
		if strings.HasPrefix(row.Key, sessions) {
			if s := a.sessions[lastName(row.Key)]; s != nil && s.p == p {
				s.seen(parse[sessionRow](a.w, row.Key, row.Value))
			}
		}
		if id, ok := shardOf(row.Key); ok && len(asking) > 0 {
			a.resolved(p, id, parse[leaseRow](a.w, row.Key, row.Value), asking)
		}
	}
}

// doubt notes that the outcome of a take is not known.
func (a *audit) doubt(id string) {
	for i, k := range a.asking[a.w.current] {
		if k.shard == id {
			a.asking[a.w.current][i].failed = true
		}
	}
}

// resolved is called when a task has read the row of a shard that it sent a take of.
func (a *audit) resolved(p *process, id string, r leaseRow, asking []asked) {
	for _, k := range asking {
		switch {
		case k.shard != id:
		case r.Epoch == k.epoch:
			if k.failed {
				a.w.counts.add("ambiguous take: it was applied")
			}
			a.confirmed(p, id, r)
		case k.failed:
			a.w.counts.add("ambiguous take: it was not applied")
		}
	}
}

// confirmed notes that a process read that a shard is its own.
func (a *audit) confirmed(p *process, id string, r leaseRow) {
	t := a.lease(id).epochs[r.Epoch]
	s := a.sessions[r.Owner]
	if t == nil || s == nil || s.p != p || t.session != r.Owner || !s.valid() || p.stopped || p.unsure || p.asking > 0 || a.w.now < p.doubts || a.buried(r.Owner) {
		return
	}
	t.confirmed = true
}

// written is called when a write is applied: before and after are the row, of version 0 if it does not exist.
func (a *audit) written(by *process, before, after lease.Row) {
	switch {
	case strings.HasPrefix(after.Key, sessions):
		a.writtenSession(by, before, after)
	case strings.HasPrefix(after.Key, shards):
		a.writtenLease(by, before, after)
	case after.Key == app+"/A":
		a.writtenApp(after)
	}
}

// writtenApp holds the application's start to what LATEST first became.
func (a *audit) writtenApp(after lease.Row) {
	r := parse[appRow](a.w, after.Key, after.Value)
	if strings.HasPrefix(r.Start, "AT ") {
		if a.pinned != "" && a.pinned != r.Start {
			a.w.fail("start", "LATEST was %s and becomes %s", a.pinned, r.Start)
		}
		if a.pinned == "" {
			a.w.counts.add("LATEST pinned")
		}
		a.pinned = r.Start
	}
	if a.app.Lister != "" && a.app.Lister != r.Lister {
		a.w.counts.add("lister taken over")
		if s := a.sessions[a.app.Lister]; s != nil && s.valid() {
			a.w.counts.add("lister taken over from a living one")
		}
	}
	a.app = r
}
