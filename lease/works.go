package lease

import (
	"context"
	"time"

	"github.com/runnelhq/runnel/internal/backoff"
)

// begin has work done on a shard that was just taken, unless the session stopped being valid meanwhile, or the store has another history than the one in which it was taken: then the
// row is taken again, or freed, later.
func (m *member) begin(ctx context.Context, row shardRow, history string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.s.valid() || m.history != history {
		return
	}
	workCtx, end := context.WithCancelCause(context.WithoutCancel(ctx))
	l := newLease(row, m.s, m.keys, m.cfg.ByWeight, m.learned, end)
	k := &work{lease: l, began: m.clock.mono()}
	m.works[row.ID] = k
	delete(m.view.unwanted, row.ID) // that was another tenure's
	if m.stopped() {
		l.drain("")
	}
	m.log.Debug("lease: taken", "shard", row.ID, "epoch", row.Epoch, "start", row.begin().String())
	m.working.Go(func() {
		defer end(nil)
		running := m.cfg.Work(workCtx, l)
		m.returned(k, running)
	})
}

// learned takes in what a lease stored, and has what follows from it done.
func (m *member) learned(r shardRow) {
	m.mu.Lock()
	m.view.learn(r)
	m.mu.Unlock()
	m.act.poke()
}

// spinning is how long work must have lasted for its shard to be taken again at once if it returned without being asked to.
const spinning = 30 * time.Second

// returned notes that a call of Work has returned, and what of it still runs.
func (m *member) returned(k *work, running <-chan struct{}) {
	l := k.lease
	m.mu.Lock()
	now := m.clock.mono()
	gaveUp := l.voluntary()
	if gaveUp {
		h := m.holds[l.shard.ID]
		if now-k.began > spinning {
			h.times = 0
		}
		h.times++
		h.until = now + backoff.Policy{Base: time.Second, Cap: spinning}.Ceiling(h.times)
		m.holds[l.shard.ID] = h
	} else {
		delete(m.holds, l.shard.ID)
	}
	l.finish()
	k.returned, k.running = true, running
	if running == nil {
		delete(m.works, l.shard.ID)
	}
	m.mu.Unlock()
	if running != nil && m.cfg.Timing.Watchdog > 0 && !m.stopped() {
		m.fail(errRetired)
	}
	m.log.Debug("lease: work returned", "shard", l.shard.ID, "epoch", l.holder.epoch, "running", running != nil, "given up", gaveUp)
	m.act.poke()
}
