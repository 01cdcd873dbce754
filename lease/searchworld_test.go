package lease

import (
	"fmt"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
)

// The protocol's pure steps under every interleaving at small bounds, and under random ones at larger: two workers, the second session of each, writes
// that are lost, late or answered with an error although they were applied, and clocks. One unit of time is a quarter of the expiry, so that a
// session is valid for three.
const (
	searchExpiry = 4
	searchOwn    = 3
)

// world is plain data that compares, so that states that were seen are recognised.
type world struct {
	now     int8
	s       sRow
	w       [4]wRow // by session: a worker's first and second
	workers [2]actor
	air     [2]write // writes that were given up and may still land, one a worker
	ended   uint8    // epochs that are over for their sender
	takers  [8]int8  // by epoch: the session that took it, plus one
	broken  string

	careless bool // owners go on although they are not valid: who may store must not depend on clocks
}

type sRow struct {
	version, epoch, position int8
	owner                    int8 // session plus one
	ended                    bool
}

type wRow struct {
	version, hb int8
	dead        bool
}

// actor is one worker.
type actor struct {
	session  int8 // its number
	joined   bool
	over     bool
	sent     int8
	acked    int8
	since    int8 // sending of the last acknowledged heartbeat, plus one
	flights  [4]int8
	version  int8 // of its row, as it knows
	other    sighting
	row      sRow // the shard as last read
	read     bool
	dead     bool // a read sent after the shard's found its owner dead
	holds    bool
	epoch    int8
	position int8 // done, and not yet stored
}

// sighting is what a worker saw of the other's heartbeat.
type sighting struct {
	session, hb, since int8
	seen               bool
}

// write is one conditional write on its way.
type write struct {
	kind    int8 // 0 none, 1 shard, 2 session
	session int8
	version int8
	s       sRow
	w       wRow
}

func (x sRow) row() shardRow {
	r := shardRow{head: head{version: uint64(x.version)}, Epoch: uint64(x.epoch), State: open}
	if x.position > 0 {
		r.Position = checkpoint.Offset(uint64(x.position))
	}
	if x.owner > 0 {
		r.Owner = fmt.Sprint(x.owner - 1)
	}
	if x.ended {
		r.State = ended
	}
	return r
}

func sRowOf(r shardRow) sRow {
	x := sRow{version: int8(r.version), epoch: int8(r.Epoch), ended: r.State == ended}
	if n, ok := r.Position.Offset(); ok {
		x.position = int8(n)
	}
	if r.Owner != "" {
		x.owner = int8(r.Owner[0]-'0') + 1
	}
	return x
}

func (x wRow) row() sessionRow {
	r := sessionRow{head: head{version: uint64(x.version)}, State: alive, HB: uint64(x.hb)}
	if x.dead {
		r.State = dead
	}
	return r
}

func wRowOf(r sessionRow) wRow { return wRow{int8(r.version), int8(r.HB), r.State == dead} }

// beats is the worker's knowledge of its heartbeats as the protocol has it.
func (a actor) beats() beats {
	b := beats{sent: uint64(a.sent), acked: uint64(a.acked)}
	for hb := a.acked + 1; hb <= a.sent; hb++ {
		b.when = append(b.when, flight{uint64(hb), unit(a.flights[hb%4])})
	}
	return b
}

func unit(n int8) instant {
	return instant{Mono: time.Duration(n) * time.Second, Wall: time.Duration(n) * time.Second}
}

func acknowledge(a *actor, r sessionRow) {
	b := a.beats()
	if since, known := b.ack(r.HB); known {
		a.since = int8(since.Mono/time.Second) + 1
	}
	a.acked, a.version = int8(b.acked), int8(r.version)
}

func (a actor) valid(now int8) bool {
	return a.since > 0 && !a.over && unit(a.since-1).Age(unit(now)) < searchOwn*time.Second
}

func (a actor) holder() holder { return holder{session: fmt.Sprint(a.session), epoch: uint64(a.epoch)} }

// apply lets a write reach the store, and tells whether its condition held. It looks at what the invariants say.
func apply(x *world, w write) bool {
	if w.kind == 2 {
		if x.w[w.session].version != w.version {
			return false
		}
		x.w[w.session] = w.w
		x.w[w.session].version++
		return true
	}
	if x.s.version != w.version {
		return false
	}
	before := x.s
	x.s = w.s
	x.s.version++
	switch {
	case x.s.position < before.position:
		x.broken = "the position went back"
	case x.s.epoch < before.epoch:
		x.broken = "the epoch fell"
	case x.s.epoch == before.epoch && x.s.owner != before.owner && x.s.owner != 0:
		x.broken = "two owners in one epoch"
	case x.s.epoch > before.epoch:
		if x.takers[x.s.epoch] != 0 && x.takers[x.s.epoch] != x.s.owner {
			x.broken = "an epoch was handed out twice"
		}
		x.takers[x.s.epoch] = x.s.owner
	case before.ended:
		x.broken = "written after the end"
	}
	if x.s.owner == before.owner && x.s.epoch == before.epoch && x.s.position > before.position && x.ended&(1<<x.s.epoch) != 0 {
		x.broken = "a checkpoint of an epoch that was released"
	}
	return true
}

// answers are what may become of a write, and what its sender is told.
type answer uint8

const (
	applied answer = iota
	refused
	ambiguous // error, whatever became of it
)

// send gives the worlds that a write may lead to, each with the answer.
func (x world) send(i int, w write, then func(*world, *actor, answer)) []world {
	var out []world
	add := func(y world, a answer) {
		then(&y, &y.workers[i], a)
		out = append(out, y)
	}
	y := x
	if apply(&y, w) {
		add(y, applied)
		add(y, ambiguous) // applied, the answer is lost; or the client retried its own success
	} else {
		add(y, refused)
	}
	if x.air[i].kind == 0 { // given up, and on its way yet
		y = x
		y.air[i] = w
		add(y, ambiguous)
	}
	return out
}

// passing gives the world after a unit of time, or after a write that was on its way has landed or is dropped.
func (x world) passing(maxTime int8) []world {
	var out []world
	if x.now < maxTime {
		y := x
		y.now++
		out = append(out, y)
	}
	for i := range x.workers {
		if x.air[i].kind == 0 {
			continue
		}
		y := x
		apply(&y, y.air[i])
		y.air[i] = write{}
		z := x
		z.air[i] = write{}
		out = append(out, y, z)
	}
	return out
}

// acting gives every world that a step of one worker may lead to.
func (x world) acting(i int) []world {
	return append(append(x.session(i), x.observe(i)...), x.shard(i)...)
}

// session has a worker join, heartbeat, or join anew.
func (x world) session(i int) []world {
	a := x.workers[i]
	switch {
	case a.over:
		if a.session >= 2 || a.holds {
			return nil // it may join anew only once here, and not while its handler runs
		}
		y := x
		y.workers[i] = actor{session: a.session + 2}
		return []world{y}
	case a.sent >= 100 || a.sent-a.acked >= 4:
		return nil
	}
	b := a.beats()
	hb := b.send(unit(x.now))
	next := beaten(wRow{version: a.version, hb: a.acked}.row(), hb, false)
	x.workers[i].sent = int8(hb)
	x.workers[i].flights[hb%4] = x.now
	return x.send(i, write{kind: 2, session: a.session, version: a.version, w: wRowOf(next)}, func(y *world, a *actor, got answer) {
		stored := y.w[a.session].row() // a read that is sent afterwards
		b := a.beats()
		switch {
		case !a.joined && stored.version != 0:
			a.joined = true
			a.acked, a.version = int8(stored.HB), int8(stored.version)
		case !a.joined:
		case got == applied:
			next.version++
			acknowledge(a, next)
		case !b.mine(stored):
			a.over = true
		default:
			acknowledge(a, stored)
		}
	})
}

// observe has a worker look at the other's session, and kill it when it stood still.
func (x world) observe(i int) []world {
	var out []world
	other := x.workers[1-i].session
	r := x.w[other]
	y := x
	a := &y.workers[i]
	if s := a.other; r.version != 0 && (!s.seen || s.session != other || s.hb != r.hb) {
		a.other = sighting{other, r.hb, x.now, true}
		out = append(out, y)
	}
	for s := range int8(4) {
		seen := x.workers[i].other
		if !seen.seen || seen.session != s || x.now-seen.since < searchExpiry {
			continue
		}
		if next, dying := killed(x.w[s].row(), uint64(seen.hb)); dying {
			out = append(out, x.send(i, write{kind: 2, session: s, version: x.w[s].version, w: wRowOf(next)}, func(*world, *actor, answer) {})...)
		}
	}
	return out
}

// shard has a worker read, take, work on, checkpoint or release the shard.
func (x world) shard(i int) []world {
	var out []world
	a := x.workers[i]
	if a.holds {
		return x.owner(i)
	}
	y := x
	y.workers[i].row, y.workers[i].read, y.workers[i].dead = x.s, true, false
	if y.workers[i] != a {
		out = append(out, y)
	}
	if !a.read {
		return out
	}
	if o := a.row.owner; o != 0 && !a.dead && x.w[o-1].dead {
		y = x
		y.workers[i].dead = true // read after the shard was
		out = append(out, y)
	}
	e := evidence{app: appRow{head: head{version: 1}}}
	if a.dead {
		e.owner = ownerDead
	}
	next, why := take(a.row.row(), fmt.Sprint(a.session), "", e)
	if why != taken || !a.valid(x.now) || a.row.epoch >= 7 {
		return out
	}
	x.workers[i].read = false
	return append(out, x.send(i, write{kind: 1, version: a.row.version, s: sRowOf(next)}, func(y *world, a *actor, _ answer) {
		// Whatever the answer: a read that is sent afterwards says whether it was taken.
		if y.s.owner == a.session+1 && y.s.epoch == int8(next.Epoch) && a.valid(y.now) {
			a.holds, a.epoch, a.row, a.position = true, y.s.epoch, y.s, y.s.position
		}
	})...)
}

func (x world) owner(i int) []world {
	var out []world
	a := x.workers[i]
	if !a.valid(x.now) && !x.careless {
		x.workers[i].holds = false
		return []world{x}
	}
	if a.position < 3 && a.position == a.row.position {
		y := x
		y.workers[i].position++ // a record is handled
		out = append(out, y)
	}
	if next, err := checkpointed(a.row.row(), a.holder(), checkpoint.Offset(uint64(a.position))); err == nil && a.position > a.row.position {
		out = append(out, x.send(i, write{kind: 1, version: a.row.version, s: sRowOf(next)}, func(y *world, a *actor, got answer) {
			switch {
			case got == applied:
				next.version++
				a.row = sRowOf(next)
			case a.holder().holds(y.s.row()): // by a read that is sent afterwards
				a.row = y.s
			default:
				a.holds = false
			}
		})...)
	}
	if next, err := released(a.row.row(), a.holder(), checkpoint.Offset(uint64(a.position)), ""); err == nil {
		y := x
		y.ended |= 1 << a.epoch
		y.workers[i].holds, y.workers[i].read = false, false
		out = append(out, y.send(i, write{kind: 1, version: a.row.version, s: sRowOf(next)}, func(*world, *actor, answer) {})...)
	}
	return out
}

// check gives the invariant that a world breaks.
func (x world) check() string {
	if x.broken != "" {
		return x.broken
	}
	valid := 0
	for _, a := range x.workers {
		if a.holds && a.valid(x.now) {
			valid++
		}
	}
	if valid > 1 && !x.careless {
		return "two valid owners"
	}
	return ""
}
