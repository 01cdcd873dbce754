//go:build !race

package lease

// bounds are what a search is bounded by. Time is not, nor are the numbers of heartbeats, sessions and epochs.
type bounds struct {
	workers     int
	child       bool     // the shard has one
	records     [2]uint8 // of the shard and of its child
	own, expiry uint8    // units; own is in how many a session is valid
	drift       uint8    // a clock may stand still for one unit in 1 + drift; 0: no clock does
	timeless    bool     // nothing is valid only for a time, and anybody is killed at any time: who may store must not depend on clocks
	late        int      // how many writes may be on their way at a time that land late
	leave       bool     // processes leave, and remove the rows of their sessions
	remove      bool     // rows of dead sessions are removed
}

// explorer searches every world that the steps lead to, breadth first.
type explorer struct {
	bounds
	rules *rules
	layout
	states

	seeks       string // the one violation that ends the search; "": any
	from        uint32
	broken      string // by the step that is being made
	violation   *violation
	transitions int
	count       [ops][outcomes]int
	special     map[string]int

	fair     []uint32 // by state: what a world does in which nothing fails any more
	fairRank int
	fairNext uint32

	watch func(y world, s step) // of a trace
}

// violation is a step that breaks an invariant.
type violation struct {
	why  string
	from uint32
	to   key
	step step
}

type step struct {
	op  op
	by  int
	got outcome
}

func newExplorer(b bounds, r *rules) *explorer {
	e := &explorer{bounds: b, rules: r, special: make(map[string]int)}
	if b.timeless {
		e.own, e.expiry = 1, 0
	}
	age := max(e.own, 1)
	p := wProc{
		phase: isOver, valid: age, fresh: 1, beats: wBeats{2, [2]uint8{age, age}}, slack: e.drift, owns: [2]uint8{2, 2},
		take: wTake{at: hasListed, shard: 1, want: childEpoch + 1},
		late: wWrite{aStore, 1, hbBelow, 1, 1, wShard{isEnded, childEpoch + 1, max(e.records[0], e.records[1])}},
	}
	if b.late == 0 {
		p.late = wWrite{}
	}
	if r.listsFirst {
		p.take.listed = 1<<(2*b.workers) - 1
	}
	for k := range p.w {
		p.w[k] = wSession{isDead, hbBelow, e.expiry}
	}
	widest := world{handled: [2]uint8{1<<e.records[0] - 1, 1<<e.records[1] - 1}}
	for shard := range widest.rows {
		if shard == theChild && !b.child {
			p.owns[1], p.take.shard, p.late.shard = 0, 0, 0
			continue
		}
		widest.rows[shard] = wShard{isEnded, childEpoch, e.records[shard]}
		p.work[shard] = wWork{isLost, childEpoch, e.records[shard], 1, 1}
	}
	for i := range b.workers {
		widest.procs[i] = p
	}
	e.layout = newLayout(&widest)
	return e
}

func (e *explorer) start() (x world) {
	x.rows[theShard] = wShard{isOpen, shardEpoch, 0}
	x.forget(e)
	return x
}

// run searches until no state is left that was not seen, or an invariant is broken.
func (e *explorer) run() {
	x := e.start()
	e.add(e.pack(&x), 0)
	for n := 0; n < len(e.keys) && e.violation == nil; n++ {
		e.expand(uint32(n))
		e.fair = append(e.fair, e.fairNext)
	}
}

// stuck gives a state from which not everything is worked on and ended, although nothing fails any more; that is found by the way that is fairly taken from each.
func (e *explorer) stuck() (uint32, bool) {
	const unknown, ends = 0, 1
	state := make([]uint32, len(e.fair)) // or 2 + the walk that came by
	for n := range e.fair {
		at := uint32(n)
		walk := uint32(n) + 2
		for ; state[at] == unknown && e.fair[at] != at; at = e.fair[at] {
			state[at] = walk
		}
		if x := e.unpack(e.keys[at]); state[at] != ends && !e.over(&x) {
			return uint32(n), true
		}
		state[at] = ends
		for at = uint32(n); state[at] == walk; at = e.fair[at] {
			state[at] = ends
		}
	}
	return 0, false
}

// over tells whether all shards have ended.
func (e *explorer) over(x *world) bool {
	return x.rows[theShard].state == isEnded && (!e.child || x.rows[theChild].state == isEnded)
}

// expand makes every step of a state.
func (e *explorer) expand(n uint32) {
	x := e.unpack(e.keys[n])
	e.from, e.fairRank, e.fairNext = n, len(fairly), n
	e.everyStep(&x)
}

func (e *explorer) everyStep(x *world) {
	e.passing(x)
	for i := range e.workers {
		e.session(x, i)
		e.taking(x, i)
		e.working(x, i, theShard)
		if e.child {
			e.working(x, i, theChild)
		}
	}
}

// emit takes in the world y that a step of process i leads to.
func (e *explorer) emit(y world, op op, i int, got outcome) {
	if e.broken == "" {
		e.broken = e.check(&y)
	}
	y.forget(e)
	s := step{op, i, got}
	if e.watch != nil {
		e.watch(y, s)
		e.broken = ""
		return
	}
	e.transitions++
	e.count[op][got]++
	if !e.rules.listsFirst { // there a process has a number
		y.sorted(e.workers)
	}
	k := e.pack(&y)
	if e.broken != "" && (e.seeks == "" || e.seeks == e.broken) {
		if e.violation == nil {
			e.violation = &violation{e.broken, e.from, k, s}
		}
		e.broken = ""
		return
	}
	e.broken = ""
	to := e.add(k, e.from)
	if rank := s.fairRank(); rank < e.fairRank && to != e.from {
		e.fairRank, e.fairNext = rank, to
	}
}

// valid tells whether a process may act on its leases.
func (e *explorer) valid(p *wProc) bool { return p.phase == isMember && p.valid < e.own }

// check gives the invariant that a world breaks.
func (e *explorer) check(x *world) string {
	for shard := range x.rows {
		working := 0
		for i := range x.procs[:e.workers] {
			if p := &x.procs[i]; p.work[shard].on == isWorking && e.valid(p) {
				working++
			}
		}
		if working > 1 && !e.timeless {
			return "two valid owners of one shard"
		}
		if done := uint8(1)<<x.rows[shard].pos - 1; x.handled[shard]&done != done {
			return "a position is stored below which not everything was handled"
		}
	}
	return ""
}

func (e *explorer) note(what string) { e.special[what]++ }

// stored lets a write to a shard's row land, and looks at what the invariants say.
func (e *explorer) stored(y *world, i int, w wWrite) {
	before, next := y.rows[w.shard], w.row
	oi, ok, owned := y.owner(w.shard)
	mine := owned && oi == i && ok == int(w.old)
	switch {
	case before.state == isEnded:
		e.broken = "a row was written after its end"
	case next.pos < before.pos:
		e.broken = "the position went back"
	case next.epoch < before.epoch:
		e.broken = "the epoch fell"
	case w.kind == aTake && next.epoch == before.epoch:
		e.broken = "an epoch was handed out twice"
	case w.kind == aTake && w.shard == theChild && y.rows[theShard].state != isEnded:
		e.broken = "a child was taken before its parent ended"
	case w.kind == aTake && w.shard == theChild && next.epoch <= y.rows[theShard].epoch:
		e.broken = "a child's epoch is not above its parent's"
	case w.kind == aStore && (!mine || next.epoch != before.epoch):
		e.broken = "a row was written by who does not own it"
	case w.shard == theShard && e.child && next.state == isEnded && y.rows[theChild].state == isAbsent:
		e.broken = "a shard ended before its child had a row"
	case next.state == isEnded && next.pos != e.records[w.shard]:
		e.broken = "a shard ended before its last record"
	}
	switch {
	case w.kind == aTake && w.shard == theChild:
		e.note("takes of the child")
	case w.kind == aTake && mine:
		e.note("adoptions")
	case w.kind == aTake && owned:
		e.note("takeovers")
	case next.state == isEnded:
		e.note("ends")
	}
	y.rows[w.shard] = next
	for j := range y.procs {
		y.procs[j].owns[w.shard] = 0
	}
	if w.owns != 0 {
		y.procs[i].owns[w.shard] = w.old + 1
	}
	y.shardChanged(w.shard)
}

// land lets a write reach its row, if its condition may hold yet.
func (e *explorer) land(y *world, i int, w wWrite) bool {
	p, k := &y.procs[i], int(w.old)
	switch w.kind {
	case aJoin:
		if p.w[k].state != isAbsent {
			return false
		}
		p.w[k] = wSession{state: isAlive, hb: w.hb}
	case aBeat:
		moved := p.w[k].hb != w.hb
		p.w[k].hb = w.hb
		if moved {
			p.w[k].still = 0
		}
		p.sessionChanged(k)
	case aRemoval:
		p.w[k] = wSession{}
		p.sessionChanged(k)
	default:
		e.stored(y, i, w)
	}
	return true
}

// send sends a write. then is what its sender does when it has the answer; fresh tells whether it knows the row's version.
func (e *explorer) send(x *world, op op, i int, w wWrite, fresh bool, then func(p wProc, acked bool) wProc) {
	y := *x
	if fresh {
		if e.land(&y, i, w) {
			z := y
			broken := e.broken
			z.procs[i] = then(z.procs[i], true)
			e.emit(z, op, i, isAcked)
			e.broken = broken
			y.procs[i] = then(y.procs[i], false)
			if w.kind == aJoin && e.mayBeLate(&y, i) { // and a copy is on its way
				z = y
				z.procs[i].late = w
				e.emit(z, op, i, isTwice)
			}
			e.emit(y, op, i, isUnanswered)
		}
		if y = *x; e.mayBeLate(&y, i) {
			y.procs[i].late = w
			y.procs[i] = then(y.procs[i], false)
			e.emit(y, op, i, isLate)
		}
	}
	y = *x
	y.procs[i] = then(y.procs[i], false)
	if fresh {
		e.emit(y, op, i, isNeverSent)
	} else {
		e.emit(y, op, i, isRefused)
	}
}

// mayBeLate tells whether one more write may be on its way.
func (e *explorer) mayBeLate(x *world, i int) bool {
	n := 0
	for j := range x.procs[:e.workers] {
		if x.procs[j].late.kind != 0 {
			n++
		}
	}
	return x.procs[i].late.kind == 0 && n < e.late
}

// unmoved is a sender that does nothing when it has the answer.
func unmoved(p wProc, _ bool) wProc { return p }
