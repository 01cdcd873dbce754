//go:build !race

package lease

import (
	"slices"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
)

// rules are the protocol's pure steps, each in the one place where the search calls it. A fault bends one of them, or one of the habits of the shell
// that a flag stands for.
type rules struct {
	send         func(*beats, instant) uint64
	ack          func(*beats, uint64) (instant, bool)
	mine         func(*beats, sessionRow) bool
	beaten       func(sessionRow, uint64) sessionRow
	killed       func(sessionRow, uint64) (sessionRow, bool)
	still        func(age, expiry time.Duration) bool
	ownership    func(sessionRow, time.Duration, time.Duration) ownership
	take         func(shardRow, string, evidence) (shardRow, verdict)
	holds        func(holder, shardRow) bool
	checkpointed func(shardRow, holder, progress) (shardRow, error)
	released     func(shardRow, holder, progress) (shardRow, error)
	finished     func(shardRow, holder, checkpoint.Position, map[string]shardRow) (shardRow, error)
	settled      func(shardRow, holder, progress) bool
	freed        func(shardRow, string, bool) (shardRow, bool)
	child        func() shardRow
	begin        func(shardRow) checkpoint.Start

	retries    bool // what a retry sends depends on what was sent before
	joinCounts bool // a join that is stored makes the session valid
	listsFirst bool // evidence is read before the row
	goesOn     bool // after a release that a read shows as not applied
	freesBusy  bool // a row is freed while a handler runs

	calls int // of the pure steps
	known memories
}

const (
	searchUnit  = time.Second
	searchMe    = "me"
	searchOther = "other"
	searchApp   = "one"
)

var searchIDs = [2]string{"shard", "child"}

// theRules are the protocol's.
func theRules() *rules {
	return &rules{
		send:   func(b *beats, now instant) uint64 { return b.send(now) },
		ack:    func(b *beats, hb uint64) (instant, bool) { return b.ack(hb) },
		mine:   func(b *beats, r sessionRow) bool { return b.mine(r) },
		beaten: func(r sessionRow, hb uint64) sessionRow { return beaten(r, hb, false) },
		killed: killed,
		still: func(age, expiry time.Duration) bool {
			is, _ := (&seen{}).still(age, expiry)
			return is
		},
		ownership: func(r sessionRow, age, expiry time.Duration) ownership {
			v := newView(searchMe, 0)
			v.session(searchOther, r, false, 0)
			return v.owner(searchOther, age, expiry)
		},
		take:         func(r shardRow, me string, e evidence) (shardRow, verdict) { return take(r, me, searchApp, e) },
		holds:        holder.holds,
		checkpointed: checkpointed,
		released: func(r shardRow, h holder, p progress) (shardRow, error) {
			return released(r, h, p, "")
		},
		finished: func(r shardRow, h holder, p checkpoint.Position, rows map[string]shardRow) (shardRow, error) {
			return finished(r, h, p, []string{searchIDs[theChild]}, rows)
		},
		settled: settled,
		freed:   freed,
		child: func() shardRow {
			shard := Shard{ID: searchIDs[theChild], Parents: []string{searchIDs[theShard]}}
			return newRow(shard.ID, shard, startOf(appRow{Listed: true}, true), 0)
		},
		begin: func(r shardRow) checkpoint.Start { return r.begin() },
	}
}

// memories are what the pure steps said, by what they were asked: the search asks the same millions of times.
type memories struct {
	sends map[wBeats]beatSent
	acks  map[beatAsked]beatAcked
	mine  map[beatAsked]bool
	kills map[sessionAsked]bool
	dead  map[sessionAsked]ownership
	takes map[takeAsked]wAnswer
	steps map[stepAsked]wAnswer
}

func asked[K comparable, V any](r *rules, m *map[K]V, k K, ask func() V) V {
	v, ok := (*m)[k]
	if !ok {
		if *m == nil {
			*m = make(map[K]V)
		}
		r.calls++
		v = ask()
		(*m)[k] = v
	}
	return v
}

func units(n uint8) instant {
	return instant{Mono: time.Duration(n) * searchUnit, Wall: time.Duration(n) * searchUnit}
}

// searchNow is when a heartbeat is sent or acknowledged, and searchAcked the last that was acknowledged before.
const (
	searchNow   = 100
	searchAcked = 10
)

func hbOf(hb uint8) uint64 {
	if hb == hbBelow {
		return searchAcked - 1
	}
	return searchAcked + uint64(hb)
}

func (b wBeats) beats() *beats {
	held := &beats{sent: searchAcked + uint64(b.n), acked: searchAcked}
	for i, age := range b.ages[:b.n] {
		held.when = append(held.when, flight{hbOf(uint8(i) + 1), units(searchNow - age)})
	}
	return held
}

func ageOf(i instant) uint8 { return searchNow - uint8(i.Mono/searchUnit) }

type beatSent struct {
	beats wBeats
	hb    uint8
	drops bool // the oldest is no longer remembered
}

// sends notes a sending.
func (r *rules) sends(b wBeats) beatSent {
	return asked(r, &r.known.sends, b, func() beatSent {
		held := b.beats()
		hb := r.beaten(wSession{state: isAlive}.row(), r.send(held, units(searchNow))).HB
		var out beatSent
		var ages []uint8
		for n := uint64(searchAcked) + 1; n <= held.sent; n++ { // as old as an acknowledgement would say
			after := &beats{sent: held.sent, acked: held.acked, when: append([]flight(nil), held.when...)}
			since, _ := r.ack(after, n)
			ages = append(ages, ageOf(since))
		}
		out.hb = uint8(hb - searchAcked)
		if out.drops = len(ages) > len(out.beats.ages); out.drops {
			ages, out.hb = ages[1:], out.hb-1
		}
		out.beats.n = uint8(copy(out.beats.ages[:], ages))
		return out
	})
}

type beatAsked struct {
	beats     wBeats
	hb, state uint8
}

type beatAcked struct {
	beats wBeats
	age   uint8
	known bool
}

// acks notes that hb is stored.
func (r *rules) acks(b wBeats, hb uint8) beatAcked {
	return asked(r, &r.known.acks, beatAsked{b, hb, 0}, func() beatAcked {
		held := b.beats()
		since, known := r.ack(held, hbOf(hb))
		out := beatAcked{known: known}
		if known {
			out.age = ageOf(since)
		}
		for _, f := range held.when {
			out.beats.ages[out.beats.n] = ageOf(f.at)
			out.beats.n++
		}
		return out
	})
}

func (w wSession) row() sessionRow {
	row := sessionRow{HB: hbOf(w.hb), State: alive}
	if w.state != isAbsent {
		row.version = 1
	}
	if w.state == isDead {
		row.State = dead
	}
	return row
}

// goesOnAs tells whether a session's row shows it alive.
func (r *rules) goesOnAs(b wBeats, w wSession) bool {
	return asked(r, &r.known.mine, beatAsked{b, w.hb, w.state}, func() bool { return r.mine(b.beats(), w.row()) })
}

type sessionAsked struct{ state, still, expiry uint8 }

// dies tells whether a session is killed by one who saw it stand still since it does.
func (r *rules) dies(w wSession, expiry uint8) bool {
	return asked(r, &r.known.kills, sessionAsked{w.state, w.still, expiry}, func() bool {
		_, dying := r.killed(w.row(), w.row().HB)
		return dying && r.still(time.Duration(w.still)*searchUnit, time.Duration(expiry)*searchUnit)
	})
}

func (r *rules) owned(w wSession, expiry uint8) ownership {
	return asked(r, &r.known.dead, sessionAsked{w.state, w.still, expiry}, func() ownership {
		return r.ownership(w.row(), time.Duration(w.still)*searchUnit, time.Duration(expiry)*searchUnit)
	})
}

// whose is whom a row names, as seen from a session.
const (
	nobodys = iota
	mine
	others
)

func (s wShard) row(shard, whose uint8) shardRow {
	row := shardRow{ID: searchIDs[shard], Epoch: uint64(s.epoch), State: open, Owner: [...]string{"", searchMe, searchOther}[whose]}
	if shard == theChild {
		row.Parents = []string{searchIDs[theShard]}
	}
	if s.state != isAbsent {
		row.version = 1
	}
	if s.state == isEnded {
		row.State = ended
	}
	p := place(s.pos)
	if s.state == isEnded {
		p = atEnd(s.pos)
	}
	row.Position, row.Ahead = p.at, p.ahead
	return row
}

// place is how far the work has come: every second place has the position of the one before, and more behind it.
func place(pos uint8) progress {
	var p progress
	if pos > 0 {
		p.at = checkpoint.Offset(uint64(pos+1) / 2)
		if pos%2 == 0 {
			p.ahead = searchAhead
		}
	}
	return p
}

// atEnd is the place of a shard that was read to its end: there is nothing behind it.
func atEnd(pos uint8) progress { return progress{at: checkpoint.Offset(searchEnd + uint64(pos))} }

const searchEnd = 100

var searchAhead = checkpoint.NewAhead(checkpoint.Offset(9), slices.Values([]int{1}))

// wAnswer is the row that a step makes, if it does.
type wAnswer struct {
	ok   bool
	row  wShard
	owns bool
}

func answerOf(row shardRow, ok bool) wAnswer {
	a := wAnswer{ok, wShard{isOpen, uint8(row.Epoch), 0}, row.Owner == searchMe}
	if row.State == ended {
		a.row.state = isEnded
	}
	if n, is := row.Position.Offset(); is {
		switch {
		case n >= searchEnd:
			a.row.pos = uint8(n - searchEnd)
		case row.Ahead == searchAhead:
			a.row.pos = uint8(2 * n)
		default:
			a.row.pos = uint8(2*n - 1)
		}
	}
	return a
}

type takeAsked struct {
	shard, whose uint8
	row, parent  wShard
	owner        ownership
	running      bool
}

func (r *rules) takes(q takeAsked) wAnswer {
	return asked(r, &r.known.takes, q, func() wAnswer {
		e := evidence{app: appRow{head: head{version: 1}, Incarnation: searchApp}, owner: q.owner, running: q.running}
		p := parent{state: parentOpen, epoch: uint64(q.parent.epoch)}
		if q.parent.state == isEnded {
			p.state = parentEnded
		}
		e.parents = map[string]parent{searchIDs[theShard]: p}
		row, why := r.take(q.row.row(q.shard, q.whose), searchMe, e)
		return answerOf(row, why == taken)
	})
}

// The steps of an owner.
const (
	askHolds = iota
	askCheckpoint
	askRelease
	askEnd
	askSettled
	askEnded
	askFree
	askBegin
)

// stepAsked is one of an epoch's steps at a position. born is that the child's row was read; running, of a free, that work runs.
type stepAsked struct {
	ask, shard, whose uint8
	row               wShard
	epoch, pos        uint8
	flag              uint8
}

func (r *rules) steps(q stepAsked) wAnswer {
	return asked(r, &r.known.steps, q, func() wAnswer {
		row, h, p := q.row.row(q.shard, q.whose), holder{searchMe, uint64(q.epoch), 0}, place(q.pos)
		var err error
		switch q.ask {
		case askHolds:
			return answerOf(row, r.holds(h, row))
		case askCheckpoint:
			row, err = r.checkpointed(row, h, p)
		case askRelease:
			row, err = r.released(row, h, p)
		case askEnd:
			rows := make(map[string]shardRow)
			if q.flag == 1 {
				c := r.child()
				c.version = 1
				rows[c.ID] = c
			}
			if q.shard == theChild {
				row, err = finished(row, h, atEnd(q.pos).at, nil, nil)
			} else {
				row, err = r.finished(row, h, atEnd(q.pos).at, rows)
			}
		case askSettled:
			return answerOf(row, r.settled(row, h, p))
		case askEnded:
			return answerOf(row, row.State == ended && r.settled(row, h, atEnd(q.pos)))
		case askFree:
			next, ok := r.freed(row, searchMe, q.flag == 1)
			return answerOf(next, ok)
		case askBegin:
			row.Position = r.begin(row).Position()
		}
		return answerOf(row, err == nil)
	})
}
