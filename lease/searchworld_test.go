//go:build !race

package lease

import (
	"bytes"
	"unsafe"
)

// The world of the search: two or three processes, their sessions, a shard and its child. It is bytes alone, so that it is copied, compared and packed
// at once.
//
// Nothing in it counts for ever, so the search is bounded neither in time nor in heartbeats nor in sessions:
//   - Versions. A condition holds, or it never will again: a version does not come back. So a process knows of a row that its version is current,
//     or nothing, and a write that is late is forgotten when its row changes. Only a join waits for a row that is missing.
//   - Heartbeats. They are fresh, so only which of the unacknowledged sendings is stored matters.
//   - Times are ages, up to where nothing changes any more.
//   - Epochs. They are compared with that of a row, which never falls: so they are the row's, one below or the next, and are numbered anew after each
//     step. The child's lie above the shard's.
//   - Sessions. A process has its own, and one before that a row still names or that still has a write on its way. Whatever nothing refers to any more
//     is forgotten, and its place is the next session's.
//   - How long a heartbeat has stood still is counted from when it was stored. An observer's clock begins when its read returns, which is no
//     earlier: every observer has here seen as much as any could have, and may still wait as long as it likes.
type world struct {
	rows    [2]wShard
	handled [2]uint8 // records that were handled, by anybody: a bit each
	procs   [maxProcs]wProc
}

const (
	maxProcs = 3

	theShard = 0
	theChild = 1
)

// The epochs of the rows, once they were taken. That before is one less, and the next one more.
const (
	shardEpoch = 2
	childEpoch = 3
)

// wShard is a shard's row, but for its owner: that is in the process that it names, so that processes have no numbers.
type wShard struct{ state, epoch, pos uint8 }

const (
	isAbsent = iota
	isOpen
	isEnded
)

// wSession is a session's row.
type wSession struct{ state, hb, still uint8 }

const (
	isAlive = 1 // 0: isAbsent
	isDead  = 2
)

// hb of a row or a write: 0 is the last acknowledged, or one above it that is too old to be remembered; 1 and 2 are the unacknowledged sendings.
const hbBelow = 3 // below the last acknowledged

// wProc is a process.
type wProc struct {
	phase uint8
	valid uint8 // age of the first sending of the last acknowledged heartbeat, on this process's clock
	fresh uint8 // it knows the version of its session's row
	beats wBeats
	slack uint8       // units until its clock may stand still for one
	w     [2]wSession // its session, and the one before
	owns  [2]uint8    // by shard: 0, or 1 + the session of w that the row names
	take  wTake
	work  [2]wWork
	late  wWrite
}

const (
	isFresh  = iota // has not joined, as far as it knows
	isJoined        // no heartbeat of it was acknowledged
	isMember
	isOver
)

// wBeats are the unacknowledged sendings, oldest first, by age.
type wBeats struct {
	n    uint8
	ages [2]uint8
}

// wTake is how far a take has come.
type wTake struct{ at, shard, want, listed uint8 }

const (
	_            = iota
	hasEvidence  // it read the row, and then that it may be taken in epoch want
	isUnresolved // the write was sent; a read shall say what became of it
	hasListed    // only where evidence is read first: who is dead is in listed
)

// wWork is work on a shard. While fresh, it knows the row's version and so the row.
type wWork struct{ on, epoch, done, fresh, born uint8 }

const (
	_         = iota
	isWorking // handles records
	isReleasing
	isEnding
	isLost // nothing is handed out, but a handler still runs
)

// wWrite is a write that was sent and has not landed, although its sender no longer waits for it.
type wWrite struct {
	kind  uint8
	old   uint8 // by the session before
	hb    uint8
	shard uint8
	owns  uint8 // the row names the sender
	row   wShard
}

const (
	_ = iota
	aJoin
	aBeat
	aRemoval
	aTake
	aStore
)

func (w wWrite) ofShard(shard uint8) bool { return w.kind >= aTake && w.shard == shard }

func (w wWrite) ofSession(k int) bool {
	return (w.kind == aBeat || w.kind == aRemoval) && int(w.old) == k
}

// owner gives the process and the session that a row names.
func (x *world) owner(shard uint8) (i, k int, owned bool) {
	for i := range x.procs {
		if o := x.procs[i].owns[shard]; o != 0 {
			return i, int(o) - 1, true
		}
	}
	return 0, 0, false
}

func (p *wProc) named(k int) bool { return int(p.owns[0]) == k+1 || int(p.owns[1]) == k+1 }

// referred tells whether anything refers to a session but its process.
func (p *wProc) referred(k int) bool { return p.named(k) || p.late.kind != 0 && int(p.late.old) == k }

// idle tells whether no work of the process runs.
func (p *wProc) idle() bool { return p.work[0].on == 0 && p.work[1].on == 0 }

// dropped renumbers heartbeats when the oldest sending is no longer remembered.
func (p *wProc) dropped() {
	for _, hb := range p.numbers() {
		if *hb == 1 || *hb == 2 {
			*hb--
		}
	}
}

// acknowledged renumbers heartbeats when hb is the last acknowledged.
func (p *wProc) acknowledged(hb uint8) {
	for _, n := range p.numbers() {
		switch {
		case hb == 0 || *n == hbBelow:
		case *n >= hb:
			*n -= hb
		default:
			*n = hbBelow
		}
	}
}

func (p *wProc) numbers() [2]*uint8 {
	if (p.late.kind == aJoin || p.late.kind == aBeat) && p.late.old == 0 {
		return [2]*uint8{&p.w[0].hb, &p.late.hb}
	}
	return [2]*uint8{&p.w[0].hb, new(uint8)}
}

// killed, removed or written: what was known of the version of a session's row no longer is.
func (p *wProc) sessionChanged(k int) {
	if k == 0 {
		p.fresh = 0
	}
	if p.late.ofSession(k) {
		p.late = wWrite{}
	}
}

// shardChanged has everybody's knowledge of the row's version be old.
func (x *world) shardChanged(shard uint8) {
	for i := range x.procs {
		p := &x.procs[i]
		p.work[shard].fresh = 0
		if p.take.shard == shard {
			if p.take.at == hasEvidence { // it would be refused, and a read follows
				p.take.at = isUnresolved
			}
		}
		if p.late.ofShard(shard) {
			p.late = wWrite{}
		}
	}
}

// ages lets a unit of time pass, for all but the process whose clock stands still.
func (x *world) age(e *explorer, still int) {
	for i := range x.procs[:e.workers] {
		p := &x.procs[i]
		for k := range p.w {
			p.w[k].still = min(p.w[k].still+1, e.expiry)
		}
		if i == still {
			p.slack = e.drift
			continue
		}
		p.slack = max(p.slack, 1) - 1
		p.valid = min(p.valid+1, e.own)
		for j := range p.beats.ages[:p.beats.n] {
			p.beats.ages[j]++
		}
		for p.beats.n > 0 && p.beats.ages[0] >= e.own { // would not make the session valid any more
			p.beats = wBeats{p.beats.n - 1, [2]uint8{p.beats.ages[1], 0}}
			p.dropped()
		}
	}
}

// forget clears what nothing depends on any more, so that states that differ in it alone are one.
func (x *world) forget(e *explorer) {
	x.renumber(theShard, shardEpoch)
	if x.rows[theChild].epoch != 0 {
		x.renumber(theChild, childEpoch)
	}
	for i := range x.procs[:e.workers] {
		p := &x.procs[i]
		p.forgetWrite(e)
		if p.phase == isOver {
			p.beats, p.fresh, p.take = wBeats{}, 0, wTake{}
			p.renew()
		}
		if p.phase != isMember {
			p.valid = e.own
		}
		if !e.rules.retries {
			p.forgetSendings()
		}
		if p.phase == isFresh && p.late.kind == 0 && !e.rules.joinCounts {
			p.beats.ages = [2]uint8{} // the join does not count
		}
		if p.take.at == isUnresolved && !x.mayBeTaken(p) {
			p.take = wTake{}
		}
		if !p.referred(1) {
			p.w[1] = wSession{}
		}
		for k := range p.w {
			w := &p.w[k]
			gone := k == 1 || p.phase == isOver
			if w.state != isAlive || gone {
				w.hb = 0
			}
			if w.state == isDead || gone && !p.named(k) || w.state == isAbsent && !p.named(k) && !e.rules.listsFirst {
				w.still = 0
			}
			if w.state == isAlive && !gone && !e.rules.joinCounts && (p.phase == isFresh || p.phase == isJoined && w.hb == 0) {
				w.still = 0 // it is not killed before its next heartbeat is stored
			}
		}
		for shard := range p.work {
			k := &p.work[shard]
			switch k.on {
			case 0, isLost:
				*k = wWork{on: k.on}
			case isReleasing:
				k.born = 0
			}
		}
	}
}

// renumber has a row be of an epoch.
func (x *world) renumber(shard, epoch uint8) {
	now := x.rows[shard].epoch
	if now == epoch {
		return
	}
	x.rows[shard].epoch = epoch
	for i := range x.procs {
		p := &x.procs[i]
		if k := &p.work[shard]; k.epoch == now {
			k.epoch = epoch
		} else if k.epoch != 0 {
			k.epoch = epoch - 1
		}
		if p.take.want != 0 && p.take.shard == shard {
			p.take.want += epoch - now
		}
		if p.late.ofShard(shard) {
			p.late.row.epoch += epoch - now
		}
	}
}

// renew has a process whose session is over begin a new one, if there is room for it: one that has not joined yet may wait as long as it likes.
func (p *wProc) renew() {
	switch {
	case !p.referred(0):
	case p.referred(1):
		return
	default:
		p.w[1] = p.w[0]
		for shard := range p.owns {
			p.owns[shard] *= 2
		}
		p.late.old = min(p.late.kind, 1)
	}
	p.phase, p.w[0] = isFresh, wSession{}
}

// forgetWrite forgets a write that can do nothing any more: a join while the row is there, if rows are not removed, and what would be stored of a session that
// has ended and that no shard names.
func (p *wProc) forgetWrite(e *explorer) {
	l := p.late
	ofSession := l.kind == aJoin || l.kind == aBeat || l.kind == aRemoval
	if l.kind == aJoin && !e.leave && !e.remove && p.w[l.old].state != isAbsent || ofSession && (l.old == 1 || p.phase == isOver) && !p.named(int(l.old)) {
		p.late = wWrite{}
	}
}

// forgetSendings forgets what never will be stored: it is neither in the row nor on its way.
func (p *wProc) forgetSendings() {
	for hb := p.beats.n; hb > 0; hb-- {
		if p.w[0].state != isAbsent && p.w[0].hb == hb || (p.late.kind == aJoin || p.late.kind == aBeat) && p.late.old == 0 && p.late.hb == hb {
			continue
		}
		for _, n := range p.numbers() {
			if *n > hb && *n != hbBelow {
				*n--
			}
		}
		if hb == 1 {
			p.beats.ages[0] = p.beats.ages[1]
		}
		p.beats.ages[1] = 0
		p.beats.n--
	}
}

// mayBeTaken tells whether a read can still find that a take was applied.
func (x *world) mayBeTaken(p *wProc) bool {
	t, l := p.take, p.late
	return p.owns[t.shard] == 1 && x.rows[t.shard].epoch == t.want || l.kind == aTake && l.shard == t.shard && l.old == 0 && l.row.epoch == t.want
}

// sorted puts the processes in an order: the steps know no number of a process, so worlds that differ in the order alone have the same future.
func (x *world) sorted(n int) {
	for i := 1; i < n; i++ {
		for j := i; j > 0 && bytes.Compare(x.procs[j].bytes()[:], x.procs[j-1].bytes()[:]) < 0; j-- {
			x.procs[j], x.procs[j-1] = x.procs[j-1], x.procs[j]
		}
	}
}

func (p *wProc) bytes() *[unsafe.Sizeof(wProc{})]byte {
	return (*[unsafe.Sizeof(wProc{})]byte)(unsafe.Pointer(p))
}

func (x *world) bytes() *[unsafe.Sizeof(world{})]byte {
	return (*[unsafe.Sizeof(world{})]byte)(unsafe.Pointer(x))
}
