package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/internal/torment"
)

// change is a shard that went from one worker to another.
type change struct {
	shard    string
	from, to string
	begun    time.Duration // when the new owner began its first record
	pause    time.Duration // from the last record of the old owner
	repeats  int
}

// changes are those that ended after an instant, of shards that had been handled before.
func (l *ledger) changes(since time.Duration) []change {
	var all []change
	for _, id := range l.ids() {
		var before *tenure
		for _, t := range l.tenures[id] {
			if len(t.calls) == 0 {
				continue
			}
			if before != nil && t.calls[0].begun > since {
				last := before.calls[len(before.calls)-1]
				c := change{id, before.worker, t.worker, t.calls[0].begun, t.calls[0].begun - max(last.begun, last.done), 0}
				for _, x := range t.calls {
					if x.place <= last.place {
						c.repeats++
					}
				}
				all = append(all, c)
			}
			before = t
		}
	}
	return all
}

// pauses are the pauses of changes, and how many records they repeated.
func pauses(all []change) (times []time.Duration, repeats int) {
	for _, c := range all {
		times, repeats = append(times, c.pause), repeats+c.repeats
	}
	return times, repeats
}

// handoff: workers join, and get some of the others' shards.
func handoff(ctx context.Context, l *living) error {
	for range 3 {
		if err := l.tormentor.join(ctx); err != nil {
			return err
		}
		if err := backoff.Wait(ctx, usual.Settle); err != nil {
			return err
		}
		if err := l.calm(ctx); err != nil {
			return err
		}
	}
	return nil
}

func measureHandoff(l *living, m *meter) {
	times, repeats := pauses(l.ledger.changes(l.since))
	m.times("from the old owner's last record to the new one's first", times, 0, 3*time.Second)
	m.most("records repeated", repeats, 0)
}

// stop: one worker of three is told to stop, again and again.
func stop(ctx context.Context, l *living) error {
	for range 4 {
		l.tormentor.leave(l.crew.Running()[0])
		if err := l.tormentor.join(ctx); err != nil {
			return err
		}
		if err := backoff.Wait(ctx, usual.Settle); err != nil {
			return err
		}
		if err := l.calm(ctx); err != nil {
			return err
		}
	}
	return nil
}

func measureStop(l *living, m *meter) {
	left := make(map[string]time.Duration)
	for _, d := range l.ledger.deeds {
		if d.Kind == deedLeave {
			left[d.Worker] = d.To
		}
	}
	var times, after []time.Duration
	repeats := 0
	for _, c := range l.ledger.changes(l.since) {
		repeats += c.repeats
		if exit, ok := left[c.from]; ok {
			times, after = append(times, c.pause), append(after, max(0, c.begun-exit))
		}
	}
	m.times("from the last record of a worker that stops to its successor's first", times, 1500*time.Millisecond, usual.Poll+500*time.Millisecond)
	m.times("from the end of its process", after, 0, 0)
	m.most("records repeated", repeats, 0)
}

// deploy: a new worker for each of six, one after the other.
func deploy(ctx context.Context, l *living) error {
	for _, old := range l.crew.Running() {
		if err := l.tormentor.join(ctx); err != nil {
			return err
		}
		if err := backoff.Wait(ctx, usual.Poll); err != nil { // as long as it takes to be found ready
			return err
		}
		l.tormentor.leave(old)
	}
	return l.calm(ctx)
}

func measureDeploy(l *living, m *meter) {
	all := l.ledger.changes(l.since)
	times, repeats := pauses(all)
	m.most("records repeated", repeats, 0)
	m.known(fmt.Sprintf("moves of the %d shards, of which each has to move once", lifeShards), fmt.Sprint(len(all)))
	m.times("pause of a shard that moves", times, 0, 0)
}

// crash: each worker in turn is killed, and the one that lists the shards first.
func crash(ctx context.Context, l *living) error {
	lister := l.lister()
	all := l.crew.Running()
	if i := slices.Index(all, lister); i > 0 {
		all[0], all[i] = all[i], all[0]
	}
	l.led = lister
	for _, w := range all {
		if err := l.tormentor.kill(w); err != nil {
			return err
		}
		if err := l.until(ctx, time.Minute, "its shards are handled", func() bool { return len(l.crew.owned(w.Name)) == 0 }); err != nil {
			return err
		}
		if err := l.tormentor.join(ctx); err != nil {
			return err
		}
		if err := backoff.Wait(ctx, usual.Settle); err != nil {
			return err
		}
		if err := l.calm(ctx); err != nil {
			return err
		}
	}
	return nil
}

// lister is the worker that lists the shards for all; nil: it is not known.
func (l *living) lister() *worker {
	session := ""
	for _, e := range l.crew.seen(0) {
		if e.Kind == sent && isApplication(e.Row) && e.Owner != "" {
			session = e.Owner
		}
	}
	for _, w := range l.crew.Running() {
		if strings.HasPrefix(session, w.Name+"-") {
			return w
		}
	}
	return nil
}

// failover is how long the shards of a dead worker may rest.
var failover = usual.Expiry + 2*usual.Poll

func measureCrash(l *living, m *meter) {
	killed := make(map[string]time.Duration)
	for _, d := range l.ledger.deeds {
		if d.Kind == deedKill {
			killed[d.Worker] = d.From
		}
	}
	var listed, others []time.Duration
	for _, c := range l.ledger.changes(l.since) {
		at, ok := killed[c.from]
		switch {
		case !ok:
		case l.led != nil && l.led.Name == c.from:
			listed = append(listed, c.begun-at)
		default:
			others = append(others, c.begun-at)
		}
	}
	m.times("from the kill of the worker that lists the shards to the first record of each of its shards", listed, 0, failover)
	m.times("… of the others", others, 0, failover)
}

// start: ten workers in one instant, on a table that is not there yet.
func start(ctx context.Context, l *living) error {
	l.since = torment.Clock()
	if _, err := l.crew.hireAll(ctx, 10); err != nil {
		return err
	}
	return l.calm(ctx)
}

func measureStart(l *living, m *meter) {
	var owned, ran, handled []time.Duration
	run := l.ledger.first(ready)
	for _, id := range l.ledger.ids() {
		var first, record time.Duration
		for _, t := range l.ledger.tenures[id] {
			if b := t.beginning(); b > 0 && (first == 0 || b < first) {
				first = b
			}
			if len(t.calls) > 0 && (record == 0 || t.calls[0].begun < record) {
				record = t.calls[0].begun
			}
		}
		owned, ran = append(owned, first-l.since), append(ran, first-run)
		if record > 0 {
			handled = append(handled, record-l.since)
		}
	}
	m.times("from the start of the first of ten processes until a shard is owned", owned, 0, 3*time.Second)
	m.times("from the first call of consumer.Run until a shard is owned", ran, 0, 0)
	m.times("from the start of the first process until a shard is handled", handled, 0, 0)
	failed := 0
	for _, e := range l.ledger.events {
		if e.Kind == ended && (e.Failed || e.Text != "") {
			failed++
		}
	}
	m.most("workers that failed", failed, 0)
}

// first is when something was told for the first time; 0: it was not.
func (l *ledger) first(k kind) time.Duration {
	for _, e := range l.events {
		if e.Kind == k {
			return e.At
		}
	}
	return 0
}

// fleet: all workers are killed and others started.
func fleet(ctx context.Context, l *living) error {
	all := l.crew.Running()
	l.since = torment.Clock()
	for _, w := range all {
		if err := l.tormentor.kill(w); err != nil {
			return err
		}
	}
	if _, err := l.crew.hireAll(ctx, len(all)); err != nil {
		return err
	}
	return l.calm(ctx)
}

func measureFleet(l *living, m *meter) {
	var times []time.Duration
	for _, c := range l.ledger.changes(l.since) {
		times = append(times, c.begun-l.since)
	}
	m.times("from the kill of the fleet, others started at once, to the first record of each shard", times, 0, failover)
}
