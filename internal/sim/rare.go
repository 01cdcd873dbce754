package sim

import (
	"strings"

	"github.com/runnelhq/runnel/lease"
)

// refused is called when the store refuses a row because its version is another's.
func (a *audit) refused(by *process, row lease.Row) {
	switch {
	case len(row.Value) == 0:
	case strings.HasPrefix(row.Key, sessions):
		r, now := parse[sessionRow](a.w, row.Key, row.Value), a.w.store.row(row.Key)
		if s := a.sessions[lastName(row.Key)]; r.State == dead && s != nil && s.p != by {
			a.w.counts.add("race to kill lost")
			if parse[sessionRow](a.w, row.Key, now.Value).State == alive {
				a.w.counts.add("killer that was too late")
			}
		}
	case strings.HasPrefix(row.Key, shards):
		la, r := a.lease(lastName(row.Key)), parse[leaseRow](a.w, row.Key, row.Value)
		if t := la.epochs[r.Epoch]; t == nil || a.sessions[t.session].p != by || la.row.Epoch <= r.Epoch {
			return
		}
		if r.Owner == "" {
			a.w.counts.add("zombie's release rejected")
		} else {
			a.w.counts.add("zombie's checkpoint rejected")
		}
	}
}

// landedLate is called when a row was applied after its sender gave up, or for the second time.
func (a *audit) landedLate(row lease.Row) {
	a.w.counts.add("late write that landed")
	switch {
	case strings.HasPrefix(row.Key, shards) && len(row.Value) > 0:
		if parse[leaseRow](a.w, row.Key, row.Value).Owner == "" && row.Version > 0 {
			a.w.counts.add("late release that landed")
		} else {
			a.w.counts.add("late take or checkpoint that landed")
		}
	case strings.HasPrefix(row.Key, sessions) && row.Version == 0:
		a.w.counts.add("late join that landed")
	case strings.HasPrefix(row.Key, sessions):
		a.w.counts.add("late heartbeat or kill that landed")
	}
}

// jumped is called when a wall clock was set. was tells which sessions of the host were valid before.
func (a *audit) jumped(was []*sessionAudit) {
	for _, s := range was {
		if !s.valid() {
			a.w.counts.add("session ended by a jump of the wall clock")
		}
	}
}

// validOn is the sessions of a host that are valid.
func (a *audit) validOn(h *host) (valid []*sessionAudit) {
	for _, s := range a.sessions {
		if s.p.h == h && s.valid() {
			valid = append(valid, s)
		}
	}
	return valid
}
