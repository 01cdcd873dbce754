//go:build !race

package lease

// passing is what happens without anybody's doing: time passes, and late writes land or never will.
func (e *explorer) passing(x *world) {
	if !e.timeless {
		for still := -1; still < e.workers; still++ {
			if still >= 0 && (e.drift == 0 || x.procs[still].slack > 0) {
				continue
			}
			y := *x
			y.age(e, still)
			if still < 0 {
				e.emit(y, opTime, 0, isDone)
			} else {
				e.emit(y, opSlowTime, still, isDone)
			}
		}
	}
	if e.child && x.rows[theChild].state == isAbsent && e.rules.child().State == open {
		y := *x // whoever ends the shard, or lists, or has done so and the write was late
		y.rows[theChild].state = isOpen
		e.emit(y, opBear, 0, isDone)
	}
	for i := range x.procs[:e.workers] {
		w := x.procs[i].late
		if w.kind == 0 {
			continue
		}
		y := *x
		y.procs[i].late = wWrite{}
		e.emit(y, opDrop, i, isDone)
		y = *x
		y.procs[i].late = wWrite{}
		if e.land(&y, i, w) {
			e.emit(y, opLand, i, isDone)
		}
	}
}

// session is what becomes of a process's session.
func (e *explorer) session(x *world, i int) {
	p := &x.procs[i]
	switch p.phase {
	case isFresh:
		e.join(x, i)
	case isJoined, isMember:
		e.beat(x, i)
		if e.leave && p.idle() && p.take.at == 0 {
			y := *x
			y.procs[i].phase = isOver
			y.procs[i].fresh = 0
			e.send(&y, opLeave, i, wWrite{kind: aRemoval}, p.fresh == 1, unmoved)
		}
	}
	if p.phase != isOver {
		y := *x
		y.procs[i].die()
		y.procs[i].work = [2]wWork{}
		e.emit(y, opCrash, i, isDone)
	}
	for k := range p.w {
		e.others(x, i, k)
	}
}

// die ends a session and every lease of it. What still runs goes on running.
func (p *wProc) die() {
	p.phase = isOver
	p.take = wTake{}
	for shard := range p.work {
		p.work[shard].lose()
	}
}

// sent notes a sending, and gives its heartbeat.
func (e *explorer) sent(p *wProc) uint8 {
	s := e.rules.sends(p.beats)
	p.beats = s.beats
	if s.drops {
		p.dropped()
	}
	return s.hb
}

// looked notes that hb is stored.
func (e *explorer) looked(p *wProc, hb uint8, counts bool) {
	a := e.rules.acks(p.beats, hb)
	p.beats, p.fresh = a.beats, 1
	p.acknowledged(hb)
	if counts {
		if a.known {
			p.valid = a.age
		}
		if p.phase == isJoined && a.known {
			p.phase = isMember
		}
	}
}

func (e *explorer) join(x *world, i int) {
	p := &x.procs[i]
	if p.w[0].state == isAbsent {
		y := *x
		hb := e.sent(&y.procs[i])
		e.send(&y, opJoin, i, wWrite{kind: aJoin, hb: hb}, true, unmoved)
		return
	}
	if p.w[0].state != isAlive {
		panic("who does not take part yet is not killed")
	}
	y := *x
	q := &y.procs[i]
	q.phase = isJoined
	e.looked(q, q.w[0].hb, e.rules.joinCounts)
	e.emit(y, opJoinLook, i, isDone)
}

func (e *explorer) beat(x *world, i int) {
	p := &x.procs[i]
	y := *x
	hb := e.sent(&y.procs[i])
	e.send(&y, opBeat, i, wWrite{kind: aBeat, hb: hb}, p.fresh == 1, func(p wProc, acked bool) wProc {
		if acked {
			e.looked(&p, hb, true)
		}
		return p
	})
	if p.beats.n == 0 && p.fresh == 1 {
		return
	}
	y = *x
	q := &y.procs[i]
	if e.rules.goesOnAs(q.beats, q.w[0]) {
		e.looked(q, q.w[0].hb, true)
	} else {
		q.die()
		e.note("sessions that learned that they are over")
	}
	e.emit(y, opLook, i, isDone)
}

// others is what others do to the row of a session: they kill it, and remove it when it is dead.
func (e *explorer) others(x *world, i, k int) {
	p := &x.procs[i]
	member := p.named(k) || k == 0 && p.phase == isMember
	if member && e.rules.dies(p.w[k], e.expiry) {
		y := *x
		q := &y.procs[i]
		q.w[k].state = isDead
		q.sessionChanged(k)
		if k == 0 && e.valid(p) && !e.timeless {
			e.broken = "a valid session was killed"
		}
		e.emit(y, opKill, i, isDone)
	}
	if e.remove && p.w[k].state == isDead {
		y := *x
		y.procs[i].w[k] = wSession{}
		e.emit(y, opRemove, i, isDone)
	}
}
