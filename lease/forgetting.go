package lease

import (
	"cmp"
	"context"
	"errors"
)

// readHistory asks the store for its history.
func (m *member) readHistory(ctx context.Context) error {
	history, err := m.req.history(ctx)
	if err != nil {
		return err
	}
	now := m.clock.mono()
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.view.history
	if !m.view.historyRead(history, now) || old == "" {
		return nil
	}
	m.log.Warn("lease: the store has another history and may have forgotten writes: nothing is taken for the expiry", "old", old, "new", history)
	return nil
}

// acceptHistory writes down the store's history when this worker has waited for every session that the store may have forgotten: from then on shards are taken again.
func (m *member) acceptHistory(ctx context.Context, r appRow) error {
	m.mu.Lock()
	history, wait := m.view.history, m.view.history == r.History
	if !wait {
		wait, _ = m.view.forgetful(m.clock.mono(), m.cfg.Timing.Expiry)
	}
	m.mu.Unlock()
	if wait {
		return nil
	}
	r.History = history
	if err := m.putApp(ctx, r); err != nil && !errors.Is(err, ErrConflict) {
		return err
	}
	return nil
}

// born is the history with which this worker makes the application's row. If this process had seen that row before, the store forgot it, and the takes after it too: then all wait. A
// process that has just begun cannot know, and goes on at once.
func (m *member) born() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return cmp.Or(m.accepted, m.view.history)
}

var errForgotten = errors.New("the store may have forgotten who owns it")

// confirm is what makes a heartbeat count: the store's history, asked after it was acknowledged, is the one in which this worker took what it has. With another one it looks what it
// has still, and loses the rest. Others take nothing for the expiry after that history began, and this worker's validity, without this look, ends before.
func (m *member) confirm(ctx context.Context) error {
	history, err := m.req.history(ctx)
	if err != nil {
		return err
	}
	m.mu.Lock()
	if history == m.history {
		m.mu.Unlock()
		return nil
	}
	m.history = history // with mu held: what begins from here on was taken in it
	m.mu.Unlock()
	leases := m.leases()
	if len(leases) == 0 {
		return nil
	}
	ids := make([]string, len(leases))
	for i, l := range leases {
		ids[i] = l.shard.ID
	}
	rows, err := m.fetch(ctx, ids)
	for _, l := range leases {
		switch r, readable := rows[l.shard.ID]; {
		case err == nil && readable && l.holder.holds(r):
			l.store(r) // its position may be an older one
		default:
			m.end(l, errors.Join(errForgotten, err))
		}
	}
	return nil
}
