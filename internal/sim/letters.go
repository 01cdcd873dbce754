package sim

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/memdedup"
	"github.com/runnelhq/runnel/internal/ground"
	"github.com/runnelhq/runnel/internal/planted"
)

// box is a process's way to the dead letters, which are the real ones in memory. Requests take time and go astray as those to the store of leases do.
type box struct{ p *process }

var scope = deadletter.Scope{App: app, Stream: "one"}

// ask has do called when a request arrives, and gives its answer, or why there is none.
func (b box) ask(ctx context.Context, do func() error) error {
	return link(b).call(ctx, faults{unanswered: "answer about letters lost", late: "letters written late"}, do)
}

// parked lists the keys that are parked, and says as of when.
func (b box) parked(ctx context.Context) (keys []string, at time.Duration, err error) {
	w := b.p.w
	err = b.ask(ctx, func() error {
		keys, at = nil, w.now
		for k, err := range w.letters.Parked(context.Background(), scope) {
			if err != nil {
				return err
			}
			keys = append(keys, k.Key)
		}
		return nil
	})
	return keys, at, err
}

// letter is a record of a shard as one.
func letter(j *job, n int, key string) deadletter.Letter {
	return deadletter.Letter{Scope: scope, Shard: j.k.id, Position: checkpoint.Offset(uint64(n)), Generation: j.l.Generation(), Epoch: j.l.Epoch(), Key: key}
}

// put stores records of one key as letters, and says as of when.
func (b box) put(ctx context.Context, j *job, key string, ns []int, open bool) (at time.Duration, err error) {
	w := b.p.w
	ls := make([]deadletter.Letter, len(ns))
	for i, n := range ns {
		ls[i] = letter(j, n, key)
	}
	err = b.ask(ctx, func() error {
		at = w.now
		var err error
		if w.plan.then == parksKey {
			err = w.letters.Park(context.Background(), ls, open)
		} else {
			err = w.letters.Put(context.Background(), ls)
		}
		if err == nil {
			w.audit.lettered(j, key, ns)
		}
		return err
	})
	return at, err
}

// drainer redrives the letters of parked keys now and then, from a host of its own. It may be killed in the middle.
type drainer struct {
	w      *world
	h      *host
	p      *process
	starts uint64
}

func newDrainer(w *world) *drainer {
	return &drainer{w: w, h: &host{ppm: million, wall: time.Duration(epoch.UnixNano())}}
}

// begin has it run again and again until the end.
func (d *drainer) begin() {
	if d.w.plan.then != parksKey {
		return
	}
	pause := d.w.between(d.w.timing.Expiry, 5*d.w.timing.Expiry)
	if d.w.plan.sink { // each letter takes longer
		pause /= 2
	}
	d.w.after(pause, func() {
		d.act()
		d.begin()
	})
}

func (d *drainer) act() {
	w := d.w
	if d.p != nil && !d.p.dead && !d.p.done {
		return
	}
	d.starts++
	p := newProcess(w, d.h, "drain", d.starts<<16)
	d.p = p
	p.start(func() {
		d.drain(ground.With(context.Background(), p), box{p})
		p.done = true
	})
	p.schedule()
	if !w.weather.calm() && w.chance(0.5) {
		w.after(w.between(0, w.timing.Request/2), func() {
			if !p.dead && !p.done {
				w.counts.add("redrive killed")
				p.die()
			}
		})
	}
}

// claim never ends by itself: there is one drainer, which may take its own again.
var claim = deadletter.Claim{Scope: scope, Token: "drain"}

func (d *drainer) drain(ctx context.Context, b box) {
	keys, _, err := b.parked(ctx)
	d.w.trace.say(b.p.name, "redrive", "%q: %v", keys, err)
	all := b.p.Group()
	for _, key := range keys {
		all.Go(func() {
			err := d.key(ctx, b, key)
			d.w.trace.say(b.p.name, "redriven", "%s: %v", key, err)
		})
	}
	all.Wait()
}

// key redrives the letters of a key in order, until one fails.
func (d *drainer) key(ctx context.Context, b box, key string) error {
	w, c := d.w, claim
	c.Key = key
	if err := b.ask(ctx, func() error { return w.letters.Claim(context.Background(), c, 24*time.Hour) }); err != nil {
		return err
	}
	for {
		var l *deadletter.Letter
		if err := b.ask(ctx, func() error {
			for first, err := range w.letters.Read(context.Background(), deadletter.Query{Scope: scope, Key: key, Keyed: true, Limit: 1}) {
				if l = &first; err == nil {
					w.audit.redriven(key, first)
				}
				return err
			}
			l = nil
			return nil
		}); err != nil || l == nil {
			return err
		}
		var failed *deadletter.Failure
		fails, err := d.handle(ctx, b.p, *l)
		if err != nil {
			return err
		}
		if fails {
			w.counts.add("redrive that failed again")
			failed = &deadletter.Failure{Worker: b.p.name}
		}
		err = b.ask(ctx, func() error {
			err := w.letters.Settle(context.Background(), c, l.ID(), failed)
			if err == nil && failed == nil {
				w.counts.add("letter redriven")
				w.audit.drained(key, *l)
			}
			return err
		})
		if failed != nil || err != nil && !errors.Is(err, deadletter.ErrNoLetter) {
			return err
		}
	}
}

// handle handles a letter's record, through the sink if there is one, and tells whether its handler fails. Its error is why the letter is left alone.
func (d *drainer) handle(ctx context.Context, p *process, l deadletter.Letter) (fails bool, err error) {
	w := d.w
	n, _ := l.Position.Offset()
	if !w.plan.sink {
		if err := p.Wait(ctx, w.between(5*time.Millisecond, w.timing.Request/10)); err != nil {
			return false, err
		}
		fails, _ = w.stream.fails(w.stream.byID[l.Shard], int(n))
		return fails, nil
	}
	m := dedup.Mark{
		App: app, Stream: l.Scope.Stream, Shard: l.Shard, Scope: w.plan.scope, Key: l.Key,
		Position: l.Position, Epoch: l.Epoch, Generation: l.Generation, Redrive: true,
	}
	err = tap{p}.ask(ctx, func() error {
		fresh := false
		err := p.sink.Apply(context.Background(), []dedup.Mark{m}, func(tx *memdedup.Tx, _ []int) error {
			fresh = true
			return w.effects(tx, p, []dedup.Mark{m})
		})
		w.audit.redrove(p, m, fresh, err)
		return err
	})
	var undone *dedup.RolledBackError
	switch {
	case errors.As(err, &undone):
		return true, nil
	case errors.Is(err, dedup.ErrPending) && planted.Is(planted.PendingVoid):
		return false, nil
	case errors.Is(err, dedup.ErrPending) && w.audit.abandoned(l):
		w.counts.add("letter of a shard that has ended, which the sink forgot")
		return false, nil
	}
	return false, err
}

// pending is a letter of a parked key that was not redriven yet.
type pending struct {
	id      string
	shard   string
	ordinal int
	at      time.Duration // when it was stored
}

// lettered is called when letters of a key are stored.
func (a *audit) lettered(j *job, key string, ns []int) {
	la := a.lease(j.k.id)
	for _, n := range ns {
		if !a.w.plan.sink {
			a.complete(la, j, n)
		}
		id := letter(j, n, key).ID()
		if a.w.plan.then == parksKey && !slices.ContainsFunc(a.letters[key], func(p pending) bool { return p.id == id }) {
			a.letters[key] = append(a.letters[key], pending{id, j.k.id, n, a.w.now})
			if len(a.letters[key]) == 1 {
				a.w.counts.add("key parked")
			} else {
				a.w.counts.add("record that follows its key")
			}
		}
	}
	if a.w.trace.on() {
		a.w.trace.say(j.p.name, "letters", "%s %s records %v epoch %d", key, la.id, ns, j.l.Epoch())
	}
}

// redriven is called when a letter is about to be handled again: it is the first of its key.
func (a *audit) redriven(key string, l deadletter.Letter) {
	if ps := a.letters[key]; len(ps) == 0 || ps[0].id != l.ID() {
		a.w.fail("letters", "the letter %s is redriven, and of its key these were stored: %v", l.ID(), ps)
	}
}

// drained is called when a letter is gone.
func (a *audit) drained(key string, l deadletter.Letter) {
	id := l.ID()
	a.letters[key] = slices.DeleteFunc(a.letters[key], func(p pending) bool { return p.id == id })
	if len(a.letters[key]) == 0 {
		delete(a.letters, key)
		a.w.counts.add("key free again")
	}
}

// awaited holds a record of a key to wait until the letters of which its job knows, or could, are gone.
func (a *audit) awaited(j *job, key string, n int) {
	for _, p := range a.letters[key] {
		if p.at <= max(j.listed, j.asOf[key]) {
			a.w.fail("parked", "%s hands out record %d of %s, and record %d of %s, of its key, rests in the letters", j.p.name, n, j.k.id, p.ordinal, p.shard)
			return
		}
	}
}
