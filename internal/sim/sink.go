package sim

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/memdedup"
	"github.com/runnelhq/runnel/internal/ground"
	"github.com/runnelhq/runnel/internal/planted"
)

// tap is a process's way to the sink, which is the real one in memory. Requests take time and go astray as those to the store of leases do.
type tap struct{ p *process }

// answered tells whether an error, or none, is what the sink said.
func answered(err error) bool {
	var refused *dedup.RefusedError
	var undone *dedup.RolledBackError
	return err == nil || errors.As(err, &refused) || errors.As(err, &undone) || errors.Is(err, dedup.ErrOutOfOrder) || errors.Is(err, dedup.ErrPending)
}

// ask has do called when a request arrives, again and again until the sink answers or ctx ends: so an answer that was lost is settled.
func (t tap) ask(ctx context.Context, do func() error) error {
	for {
		err := link(t).call(ctx, faults{unanswered: "answer of the sink lost", late: "sink written late"}, do)
		if answered(err) || planted.Is(planted.FailOpen) {
			return err
		}
		if waited := t.p.Wait(ctx, t.p.w.timing.Request/8); waited != nil {
			return waited
		}
	}
}

// stamp is what all marks of a job have in common. A store of leases that has forgotten takes has forgotten sessions too: whoever works after that has joined anew.
func (j *job) stamp() dedup.Mark {
	session := j.l.Session()
	if j.reused > 0 {
		session += "+" + strconv.FormatUint(j.reused, 10)
	}
	return dedup.Mark{
		App: app, Stream: scope.Stream, Shard: j.k.id, Scope: j.p.w.plan.scope,
		Epoch: j.l.Epoch() - j.reused, Session: session, Generation: j.l.Generation(),
	}
}

// marks are those of records, in the order of the shard, which is the order of ns then.
func (j *job) marks(ns []int) []dedup.Mark {
	slices.Sort(ns)
	ms := make([]dedup.Mark, len(ns))
	for i, n := range ns {
		ms[i] = j.stamp()
		ms[i].Position = checkpoint.Offset(uint64(n))
		if ms[i].Scope == dedup.PerKey {
			ms[i].Key = j.p.w.stream.key(j.k, n)
		}
	}
	return ms
}

// resume seals the shard and begins where the sink stands, whatever the lease says. It tells whether the work begins.
func (j *job) resume(ctx context.Context) bool {
	w := j.p.w
	m := j.stamp()
	m.Position = j.l.Position()
	j.first = w.stream.first(j.k, j.l.Start())
	if planted.Is(planted.SealLeftOut) {
		return true
	}
	sealing, stop := context.WithCancel(ctx)
	defer stop()
	j.p.start(func() { // who is wanted back does not wait for the sink
		if j.p.Wait(sealing, ground.Forever, j.l.Draining()) == nil {
			stop()
		}
	})
	var low checkpoint.Position
	err := tap{j.p}.ask(sealing, func() (err error) {
		sink := j.p.sink
		if j.sealed { // it comes late: the sink has it, and its owner does not hear of that
			sink = sink.Another()
		}
		at, err := sink.Seal(context.Background(), m)
		low = at
		w.audit.sealed(j, m, at, err)
		return err
	})
	switch {
	case j.refuses(err):
		j.lift(ctx)
		return false
	case err != nil && ctx.Err() == nil:
		j.giveUp(ctx, isWanted)
		return false
	case err != nil:
		return false
	}
	j.sealed = true
	first := w.stream.first(j.k, j.l.Origin())
	if n, some := low.Offset(); some {
		j.low, first = low, int(n)+1
	} else if low.IsEnd() {
		first = w.stream.arrived(j.k, w.now)
	}
	switch {
	case first > j.first:
		w.counts.add("sink that is ahead of its lease")
	case first < j.first:
		w.counts.add("sink that is behind its lease")
		if planted.Is(planted.LaterOfBoth) {
			first = j.first
		}
	}
	j.first = first
	return true
}

// refuses notes that the sink refuses this owner, if that is what an error says.
func (j *job) refuses(err error) bool {
	var r *dedup.RefusedError
	if !errors.As(err, &r) {
		return false
	}
	if j.refused == nil {
		j.refused = r
		poke(j.wake)
	}
	return true
}

// lift has the next epoch of the shard be above what the sink knows.
func (j *job) lift(ctx context.Context) {
	ctx, cancel := j.p.Limit(ctx, j.grace, context.DeadlineExceeded)
	defer cancel()
	err := j.l.Lift(ctx, j.refused.Epoch+j.reused, j.refused.Generation)
	if err == nil {
		j.p.w.counts.add("shard given up because the sink refuses")
		j.p.w.audit.lease(j.k.id).rests = j.p.w.now + rests
	}
	j.p.w.trace.say(j.p.name, "lift", "%s epoch %d: %v: %v", j.k.id, j.l.Epoch(), j.refused, err)
}

// apply has the effects of a call's records made, and settles what became of them. Its error is why the call was no success.
func (j *job) apply(ctx context.Context, c *call) error {
	w := j.p.w
	ms := j.marks(c.ordinals)
	for i, n := range c.ordinals {
		c.keys[i] = w.stream.key(j.k, n)
	}
	if planted.Is(planted.MarkApart) {
		return j.applyApart(ctx, ms)
	}
	return tap{j.p}.ask(ctx, func() error {
		var done []dedup.Mark
		err := j.p.sink.Apply(context.Background(), ms, func(tx *memdedup.Tx, fresh []int) error {
			done = nil
			for _, i := range fresh {
				done = append(done, ms[i])
			}
			return w.effects(tx, j.p, done)
		})
		w.audit.applied(j, ms, done, err)
		return err
	})
}

var (
	errHandler = errors.New("the handler fails")
	errPanic   = errors.New("the handler panics")
	errPeek    = errors.New("only looked")
)

// effects makes those of some records on tx: a value each. It fails with a record that cannot be handled.
func (w *world) effects(tx *memdedup.Tx, by *process, ms []dedup.Mark) error {
	for _, m := range ms {
		n, _ := m.Position.Offset()
		switch fails, panics := w.stream.fails(w.stream.byID[m.Shard], int(n)); {
		case panics:
			return errPanic
		case fails:
			return errHandler
		}
		if _, stands := tx.Get(m.ID()); stands {
			w.fail("twice", "%s has record %d of %s applied a second time in generation %d", by.name, n, m.Shard, m.Generation)
		}
		tx.Set(m.ID(), []byte{1})
	}
	return nil
}

// applyApart is the fault of who looks what is fresh, makes the effects, and marks them afterwards.
func (j *job) applyApart(ctx context.Context, ms []dedup.Mark) error {
	w := j.p.w
	var fresh []dedup.Mark
	look := func(_ *memdedup.Tx, is []int) error {
		fresh = nil
		for _, i := range is {
			fresh = append(fresh, ms[i])
		}
		return errPeek
	}
	if err := (tap{j.p}).ask(ctx, func() error { return j.p.sink.Apply(context.Background(), ms, look) }); !errors.Is(err, errPeek) {
		return err
	}
	alone := dedup.Mark{App: "apart", Scope: dedup.PerID, Position: checkpoint.Offset(j.p.dice.Uint64())}
	if err := (tap{j.p}).ask(ctx, func() error {
		return j.p.sink.Apply(context.Background(), []dedup.Mark{alone}, func(tx *memdedup.Tx, _ []int) error { return w.effects(tx, j.p, fresh) })
	}); err != nil {
		return err
	}
	return tap{j.p}.ask(ctx, func() error {
		err := j.p.sink.Apply(context.Background(), ms, func(*memdedup.Tx, []int) error { return nil })
		w.audit.applied(j, ms, fresh, err)
		return err
	})
}

// bury passes records whose letters are stored.
func (j *job) bury(ctx context.Context, ns []int) error {
	w := j.p.w
	if !w.plan.sink || planted.Is(planted.NotBuried) {
		return nil
	}
	ms := j.marks(ns)
	return tap{j.p}.ask(ctx, func() error {
		err := j.p.sink.Bury(context.Background(), ms)
		w.audit.buriedIn(j, ms, err)
		return err
	})
}

// advance moves the sink up to where the shard is done, before the lease says so.
func (j *job) advance(ctx context.Context, p checkpoint.Position) error {
	w := j.p.w
	if !w.plan.sink || p.IsZero() {
		return nil
	}
	m := j.stamp()
	m.Position = p
	err := tap{j.p}.ask(ctx, func() error {
		err := j.p.sink.Advance(context.Background(), m)
		w.audit.advanced(j, m, err)
		return err
	})
	j.refuses(err)
	return err
}
