//go:build !race

package lease

// whose tells whom a row names, as seen from the session of process i.
func (x *world) whose(i int, shard uint8) uint8 {
	oi, k, owned := x.owner(shard)
	switch {
	case !owned:
		return nobodys
	case oi == i && k == 0:
		return mine
	}
	return others
}

// judged is what a take of a row as it is now would make of it, by evidence read now or, where a fault has it so, before.
func (e *explorer) judged(x *world, i int, shard, listed uint8) wAnswer {
	p := &x.procs[i]
	q := takeAsked{
		shard: shard, whose: x.whose(i, shard), row: x.rows[shard], running: p.work[shard].on != 0 && !e.rules.freesBusy,
	}
	if shard == theChild {
		q.parent = x.rows[theShard]
	}
	if oi, k, owned := x.owner(shard); owned && q.whose == others {
		switch {
		case !e.rules.listsFirst:
			q.owner = e.rules.owned(x.procs[oi].w[k], e.expiry)
		case listed&(1<<(2*oi+k)) != 0:
			q.owner = ownerDead
		default:
			q.owner = ownerAlive
		}
	}
	return e.rules.takes(q)
}

// listed are the sessions that a listing shows to be dead.
func (e *explorer) listed(x *world) (dead uint8) {
	for i := range x.procs[:e.workers] {
		for k, w := range x.procs[i].w {
			if e.rules.owned(w, e.expiry) == ownerDead {
				dead |= 1 << (2*i + k)
			}
		}
	}
	return dead
}

// taking is a process's way to a lease: it reads the row, then the evidence, writes, and reads what became of it.
func (e *explorer) taking(x *world, i int) {
	p := &x.procs[i]
	y := *x
	q := &y.procs[i]
	t := p.take
	switch t.at {
	case 0, hasListed:
		if p.phase != isMember {
			return
		}
		if e.rules.listsFirst && t.at == 0 {
			q.take = wTake{at: hasListed, listed: e.listed(x)}
			e.emit(y, opList, i, isDone)
			return
		}
		e.reading(x, i, theShard)
		if e.child {
			e.reading(x, i, theChild)
		}
	case hasEvidence:
		q.take = wTake{}
		if !e.valid(p) {
			e.emit(y, opTakeDrop, i, isDone)
			return
		}
		w := wWrite{kind: aTake, shard: t.shard, owns: 1, row: x.rows[t.shard]}
		w.row.epoch = t.want
		q.take = wTake{at: isUnresolved, shard: t.shard, want: t.want}
		e.send(&y, opTake, i, w, true, func(p wProc, acked bool) wProc {
			p.take = wTake{at: isUnresolved, shard: t.shard, want: t.want}
			if acked {
				e.begin(&p, t.shard, w.row)
			}
			return p
		})
	case isUnresolved:
		q.take = wTake{}
		if x.whose(i, t.shard) == mine && x.rows[t.shard].epoch == t.want && x.rows[t.shard].state == isOpen {
			e.begin(q, t.shard, x.rows[t.shard])
			e.emit(y, opTakeRead, i, isDone)
			y = *x
			q = &y.procs[i]
			q.take = wTake{}
		}
		e.emit(y, opTakeDrop, i, isDone)
	}
}

// reading is the reads of a take: the row, then the evidence. They are one step, because a take is written only if the row is still as it was read, and then the
// row could as well have been read just before the evidence. It is also the giving back of a row that names the process although it runs no work on it.
func (e *explorer) reading(x *world, i int, shard uint8) {
	p, row := &x.procs[i], x.rows[shard]
	if row.state == isAbsent {
		return
	}
	if a := e.judged(x, i, shard, p.take.listed); a.ok {
		y := *x
		y.procs[i].take = wTake{at: hasEvidence, shard: shard, want: a.row.epoch}
		e.emit(y, opRead, i, isDone)
	}
	ask := stepAsked{ask: askFree, shard: shard, whose: x.whose(i, shard), row: row, flag: min(p.work[shard].on, 1)}
	if e.rules.freesBusy {
		ask.flag = 0
	}
	if a := e.rules.steps(ask); a.ok {
		e.send(x, opFree, i, wWrite{kind: aStore, shard: shard, row: a.row}, true, unmoved)
	}
}

// begin begins work, if the session is valid yet.
func (e *explorer) begin(p *wProc, shard uint8, row wShard) {
	p.take = wTake{}
	if !e.valid(p) {
		return
	}
	if p.work[shard].on != 0 {
		e.broken = "work begins on a shard on which work of the process runs"
	}
	a := e.rules.steps(stepAsked{ask: askBegin, shard: shard, whose: mine, row: row})
	p.work[shard] = wWork{on: isWorking, epoch: row.epoch, done: a.row.pos, fresh: 1}
}

// lose ends a lease. A handler may run on.
func (k *wWork) lose() {
	if k.on == isWorking || k.on == isLost {
		*k = wWork{on: isLost}
	} else {
		*k = wWork{}
	}
}

// working is what an owner does.
func (e *explorer) working(x *world, i int, shard uint8) {
	p := &x.procs[i]
	k := p.work[shard]
	if k.on == 0 {
		return
	}
	y := *x
	w := &y.procs[i].work[shard]
	if k.on == isLost {
		*w = wWork{}
		e.emit(y, opReturned, i, isDone)
		return
	}
	if !e.valid(p) {
		w.lose()
		e.emit(y, opLapse, i, isDone)
		return
	}
	q := stepAsked{shard: shard, whose: x.whose(i, shard), row: x.rows[shard], epoch: k.epoch, pos: k.done, flag: k.born}
	if !e.child {
		q.flag = 1
	}
	if k.on != isWorking || k.fresh == 0 {
		e.rereads(x, i, q)
	}
	switch k.on {
	case isWorking:
		e.handling(x, i, q)
	case isReleasing:
		e.store(x, opReleaseAgain, i, q, askRelease)
	case isEnding:
		e.store(x, opEnd, i, q, askEnd)
	}
	if k.on != isWorking {
		*w = wWork{}
		e.emit(y, opGiveUp, i, isDone)
	}
}

func (e *explorer) handling(x *world, i int, q stepAsked) {
	k := x.procs[i].work[q.shard]
	if k.done < e.records[q.shard] {
		y := *x
		y.procs[i].work[q.shard].done++
		y.handled[q.shard] |= 1 << k.done
		if k.fresh == 1 && k.done < x.rows[q.shard].pos {
			e.broken = "a record is handled although its position is stored"
		}
		e.emit(y, opHandle, i, isDone)
	}
	if k.fresh == 0 || k.done > x.rows[q.shard].pos {
		e.store(x, opCheckpoint, i, q, askCheckpoint)
	}
	y := *x
	y.procs[i].work[q.shard].on = isReleasing
	e.store(&y, opRelease, i, q, askRelease)
	if k.done < e.records[q.shard] {
		return
	}
	if e.child && q.shard == theShard && k.born == 0 {
		if x.rows[theChild].state != isAbsent {
			y = *x
			y.procs[i].work[q.shard].born = 1
			e.emit(y, opBorn, i, isDone)
		}
	}
	y = *x
	y.procs[i].work[q.shard].on = isEnding
	e.store(&y, opEnd, i, q, askEnd)
}

// store sends a write of an epoch. Who does not know the row's version may send it as well, and is refused.
func (e *explorer) store(x *world, op op, i int, q stepAsked, ask uint8) {
	shard, fresh := q.shard, x.procs[i].work[q.shard].fresh == 1
	w := wWrite{kind: aStore, shard: shard}
	if !fresh {
		if ask == askCheckpoint && !e.rules.steps(q).ok {
			e.note("checkpoints of a former owner refused")
		}
		if ask == askEnd && e.child && shard == theShard && q.flag == 0 {
			return // it would not be sent
		}
	} else {
		q.ask = ask
		a := e.rules.steps(q)
		if !a.ok {
			return
		}
		w.row = a.row
		if a.owns {
			w.owns = 1
		}
	}
	e.send(x, op, i, w, fresh, func(p wProc, acked bool) wProc {
		switch {
		case !acked:
		case ask == askCheckpoint:
			p.work[shard].fresh = 1
		default:
			p.work[shard] = wWork{}
		}
		return p
	})
}

// rereads resolves a write whose answer was lost, or shows the owner that the row changed.
func (e *explorer) rereads(x *world, i int, q stepAsked) {
	y := *x
	k := &y.procs[i].work[q.shard]
	settled := false
	switch k.on {
	case isReleasing:
		q.ask = askSettled
		settled = e.rules.steps(q).ok
	case isEnding:
		q.ask = askEnded
		settled = e.rules.steps(q).ok
	}
	q.ask = askHolds
	switch {
	case settled:
		if x.rows[q.shard].pos < q.pos {
			e.broken = "a write is taken for applied although its position is not stored"
		}
		*k = wWork{}
	case !e.rules.steps(q).ok:
		k.lose()
	default:
		k.fresh = 1
		if e.rules.goesOn && k.on == isReleasing {
			k.on = isWorking
		}
	}
	e.emit(y, opReread, i, isDone)
}
