package lease

import (
	"github.com/runnelhq/runnel/internal/planted"
	"slices"
	"time"
)

// view is what one worker knows of its application. Listings are hints: they may be old and miss rows. It is plain data; its times are of the worker's
// monotonic clock, taken after the read returned.
type view struct {
	me       string // this worker's session: a listing that lacks it is old
	tick     uint64 // counts what was learned, so that an answer to an older question is recognised
	shards   map[string]*known
	sessions map[string]*seen
	members  map[string]memberRow
	app      appRow
	appSince time.Duration // when this version of the application's row was first seen
	cursor   string        // up to where changes of shards were listed
	joined   string        // likewise of members
	readAt   time.Duration // when the sessions were last read
	read     bool          // they were, once
	team     []string      // the live members, sorted
	teamAt   time.Duration // since when they are these
	unwanted map[string]time.Duration
	handing  map[string]string // shards of this worker's that are being drained, and the members to which they go

	shape    uint64 // counts changes of who has which shard, and of who shares them
	aimed    *aim   // of some shape; nil: not worked out yet
	owning   map[string]bool
	owningOf uint64 // the shape

	history   string        // of the store, if it tells
	historyAt time.Duration // when it was first seen
}

// known is a shard's row as last heard of.
type known struct {
	row  shardRow
	tick uint64
}

// seen is another session, or this one, with how long its heartbeat has stood still.
type seen struct {
	row   sessionRow    // version 0: it is missing
	odd   bool          // there, and unreadable: neither alive nor dead
	since time.Duration // when this hb, or that it is missing, was first seen
	// known is the row when it was last there: a session that is missing still relies on its expiry.
	known sessionRow
}

// still tells whether the heartbeat has stood still, or the row been missing, for long enough, and when that is.
func (s *seen) still(now, expiry time.Duration) (bool, time.Duration) {
	due := s.since + s.known.patience(expiry)
	if planted.Is(planted.EagerKill) {
		due = s.since + expiry/2
	}
	return due <= now, due
}

func newView(me string, now time.Duration) *view {
	return &view{
		me:     me,
		shards: make(map[string]*known), sessions: make(map[string]*seen), members: make(map[string]memberRow),
		unwanted: make(map[string]time.Duration), readAt: now, teamAt: now,
	}
}

// shard gives a row, as far as it is known.
func (v *view) shard(id string) (shardRow, bool) {
	k, ok := v.shards[id]
	if !ok {
		return shardRow{}, false
	}
	return k.row, true
}

// hint takes in a row of a listing.
func (v *view) hint(r shardRow) {
	v.cursor = max(v.cursor, r.cursor)
	if k, ok := v.shards[r.ID]; !ok || r.version > k.row.version {
		v.learn(r)
	}
}

// learn takes in a row that a write of this worker stored.
func (v *view) learn(r shardRow) {
	v.tick++
	if k, ok := v.shards[r.ID]; !ok || !k.row.counts(&r) {
		v.shape++
	}
	v.shards[r.ID] = &known{r, v.tick}
}

// answer takes in what a consistent read found that was sent at the tick asked. It supersedes all that was known then, and of what was learned
// since only what is older.
func (v *view) answer(r shardRow, asked uint64) {
	if k, ok := v.shards[r.ID]; ok && k.tick > asked && k.row.version >= r.version {
		return
	}
	if r.version == 0 {
		delete(v.shards, r.ID)
		v.shape++
		return
	}
	v.learn(r)
}

// dubious gives the shards that a full listing did not have, or had with a lower version, although they were known so when it began: it is old, or
// somebody removed rows.
func (v *view) dubious(listed map[string]uint64, asked uint64) []string {
	var ids []string
	for id, k := range v.shards {
		if listed[id] < k.row.version && k.tick <= asked {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// session takes in one session's row, that it is missing (version 0), or that its row cannot be read.
func (v *view) session(name string, r sessionRow, odd bool, now time.Duration) {
	s, ok := v.sessions[name]
	if !ok {
		s = &seen{row: r, odd: odd, since: now}
		v.sessions[name] = s
	}
	switch {
	case odd != s.odd:
		*s = seen{row: r, odd: odd, since: now, known: s.known}
	case r.version != 0 && r.version < s.row.version: // an older listing
	case r.version == 0 && s.row.version == 0: // still missing, or still unreadable
	case r.version != 0 && s.row.version != 0 && r.HB == s.row.HB:
		s.row = r
	default:
		*s = seen{row: r, since: now, known: s.known}
	}
	if r.version != 0 {
		s.known = r
	}
}

// sessionsRead takes in the names of a complete listing of sessions, after its rows. It gives those that are missing although a shard names them: once a
// consistent read has found such a one missing, it is one whose heartbeat stands still. After too long without a read, every observation begins anew: all
// stood still while nobody could write.
func (v *view) sessionsRead(names map[string]bool, now, blind time.Duration) (missing []string) {
	owners := v.owners()
	for name := range owners {
		if !names[name] && name != v.me {
			missing = append(missing, name)
		}
	}
	for name := range v.sessions {
		if !names[name] && !owners[name] {
			delete(v.sessions, name)
		}
	}
	if now-v.readAt > blind {
		for _, s := range v.sessions {
			s.since = now
		}
	}
	v.readAt, v.read = now, true
	slices.Sort(missing)
	return missing
}

// membersRead takes in a listing of members: all of them, or those that changed. own is what this one has to say of itself where its row is not known: where it is, this one reads it as
// others do.
func (v *view) membersRead(rows map[string]memberRow, all bool, own memberRow) {
	if all {
		v.members = make(map[string]memberRow, len(rows))
	}
	for name, r := range rows {
		v.members[name] = r
		v.shape++
		v.joined = max(v.joined, r.cursor)
	}
	if _, known := v.members[v.me]; !known {
		v.members[v.me] = own
		v.shape++
	}
}

// historyRead takes in the store's history, and tells whether it is another one. Then nothing counts that was seen before: the store may have forgotten heartbeats, takes and deaths, and
// counts versions and cursors anew from before.
func (v *view) historyRead(history string, now time.Duration) bool {
	if history == v.history {
		return false
	}
	v.history, v.historyAt = history, now
	v.cursor, v.joined = "", ""
	clear(v.shards)
	v.shape++
	for _, s := range v.sessions {
		s.since = now
		s.row.version = min(s.row.version, 1)
	}
	return true
}

// forgetful tells whether the store may have forgotten who owns what, and since this worker saw so the longest expiry of a session has not passed. due is when it will have.
func (v *view) forgetful(now, expiry time.Duration) (is bool, due time.Duration) {
	if v.app.version == 0 || v.history == v.app.History {
		return false, 0
	}
	for _, s := range v.sessions {
		expiry = max(expiry, s.known.patience(expiry))
	}
	due = v.historyAt + expiry
	return now < due, due
}

// application takes in the application's row, as a consistent read or a write of this worker gave it.
func (v *view) application(r appRow, now time.Duration) {
	if r.version != v.app.version {
		v.app, v.appSince = r, now
	}
}

// gather works out the live members: they take part, their session is alive and they do not drain.
func (v *view) gather(now time.Duration) {
	var team []string
	for name, m := range v.members {
		if m.Drain {
			continue
		}
		if s := v.sessions[name]; name == v.me || s != nil && s.row.version != 0 && s.row.State == alive && !s.row.Draining {
			team = append(team, name)
		}
	}
	slices.Sort(team)
	if !slices.Equal(team, v.team) {
		v.team, v.teamAt = team, now
		v.shape++
		clear(v.unwanted)
	}
}

// owner is what the view says about a session that a row names: what has been seen for the expiry counts.
func (v *view) owner(name string, now, expiry time.Duration) ownership {
	s := v.sessions[name]
	if s == nil || s.odd {
		return ownerUnknown
	}
	still, _ := s.still(now, expiry)
	switch {
	case s.row.version == 0 && still, s.row.version != 0 && s.row.State == dead:
		return ownerDead
	case s.row.version == 0:
		return ownerUnknown
	}
	return ownerAlive
}

// suspects are the other sessions whose heartbeat has stood still for the expiry and that matter here: members, owners and the one that lists. Those in living are
// to be killed; missing is that there are others, which are gone: their shards may be taken. next is when to look again.
func (v *view) suspects(now, expiry, blind time.Duration) (living []string, missing bool, next time.Duration) {
	next = now + expiry
	if now-v.readAt > blind {
		return nil, false, next // what was seen no longer counts; the next listing begins anew
	}
	owners := v.owners()
	for name, s := range v.sessions {
		still, due := s.still(now, expiry)
		switch {
		case name == v.me || s.odd || s.row.State == dead || !owners[name] && !v.takesPart(name) && name != v.app.Lister:
		case !still:
			next = min(next, due)
		case s.row.version != 0:
			living = append(living, name)
		default:
			missing = true
		}
	}
	slices.Sort(living)
	return living, missing, next
}

func (v *view) takesPart(name string) bool {
	_, is := v.members[name]
	return is
}

// lists tells whether this worker is the one that lists the stream's shards, or shall take that over: the one that claims it is not there, or has not
// renewed its claim for too long.
func (v *view) lists(now, late time.Duration) bool {
	switch lister := v.sessions[v.app.Lister]; {
	case v.app.version == 0:
		return false
	case v.app.Lister == v.me:
		return true
	case !v.read:
		return false
	case lister == nil || !lister.odd && (lister.row.version == 0 || lister.row.State == dead || lister.row.Draining):
		return true
	}
	return now-v.appSince >= late
}
