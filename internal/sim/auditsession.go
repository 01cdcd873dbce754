package sim

import (
	"slices"
	"strings"

	"github.com/runnelhq/runnel/internal/ground"
	"github.com/runnelhq/runnel/lease"
)

// sessionAudit is one session's heartbeats, as they were sent and acknowledged.
type sessionAudit struct {
	a       *audit
	p       *process
	sending map[uint64]ground.Instant // when each heartbeat was first sent; the join is none
	acked   uint64
	since   ground.Instant
	begun   bool // a heartbeat was acknowledged
	joined  bool // its row was stored once
	retired bool // it said itself that it is over
}

func (a *audit) session(name string, p *process) *sessionAudit {
	s := a.sessions[name]
	if s == nil {
		s = &sessionAudit{a: a, p: p, sending: make(map[uint64]ground.Instant)}
		a.sessions[name] = s
		for other, o := range a.sessions {
			if o.p == p && other != name {
				a.w.counts.add("session joined anew")
				break
			}
		}
	}
	return s
}

func (s *sessionAudit) sent(row lease.Row, r sessionRow) {
	s.retired = s.retired || r.State == dead
	if _, again := s.sending[r.HB]; row.Version != 0 && !again {
		s.sending[r.HB] = s.p.Now()
	}
}

func (s *sessionAudit) acknowledged(r sessionRow) {
	since, beat := s.sending[r.HB]
	if beat && r.HB >= s.acked {
		s.acked, s.since, s.begun = r.HB, since, true
	}
}

// seen is called when the session has read its own row after a write that failed.
func (s *sessionAudit) seen(r sessionRow) {
	if r.State == alive {
		s.acknowledged(r)
	}
}

// valid tells whether the session's worker may act, by its own clocks: less than 0.8 of the expiry has passed on both since the heartbeat that was last acknowledged was
// first sent.
func (s *sessionAudit) valid() bool {
	return s.begun && !s.retired && !s.p.dead && s.since.Age(s.p.Now()) < s.a.w.timing.Expiry/5*4
}

// writtenSession holds sessions to their end.
func (a *audit) writtenSession(by *process, before, after lease.Row) {
	name := lastName(after.Key)
	s := a.session(name, by)
	b, r := parse[sessionRow](a.w, before.Key, before.Value), parse[sessionRow](a.w, after.Key, after.Value)
	switch {
	case after.Version == 0:
		a.removedSession(by, name, s, b)
	case before.Version == 0:
		if s.joined {
			a.w.counts.add("session revived by a late join")
		}
		s.joined = true
	case b.State == dead && r.State != dead:
		a.w.fail("session", "%s is alive again", name)
	case r.HB < b.HB:
		a.w.fail("session", "the heartbeat of %s goes back from %d to %d", name, b.HB, r.HB)
	case r.State == dead && b.State == alive && by == s.p:
		a.w.counts.add("session retired with a stuck handler")
	case r.State == dead && b.State == alive:
		a.w.counts.add("session killed")
		if s.valid() && !a.w.plan.mad {
			a.w.fail("kill", "%s kills %s, which is valid for %s more", by.name, name, seconds(a.w.timing.Expiry/5*4-s.since.Age(s.p.Now())))
		}
	}
}

func (a *audit) removedSession(by *process, name string, s *sessionAudit, before sessionRow) {
	if by == s.p {
		for _, id := range a.order() {
			if la := a.leases[id]; slices.ContainsFunc(la.running[by], func(c *call) bool { return c.session == name }) {
				a.w.fail("leave", "%s removes its session while a handler of %s runs", by.name, id)
			}
		}
		return
	}
	if before.State != dead {
		a.w.fail("session", "%s removes the session %s, which is not dead", by.name, name)
	}
}

// buried tells whether a session's row says that it is over, or is gone.
func (a *audit) buried(name string) bool {
	row := a.w.store.row(sessions + name)
	return row.Version == 0 || strings.Contains(string(row.Value), `"state":"D"`)
}
