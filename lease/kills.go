package lease

import (
	"context"
	"errors"
	"fmt"
	"github.com/runnelhq/runnel/internal/planted"
	"time"
)

// kills marks as dead the sessions whose heartbeat stands still, each when its time has come, until ctx ends. Every worker does it for itself.
func (m *member) kills(ctx context.Context) {
	for fails := 0; ; {
		now := m.clock.mono()
		m.mu.Lock()
		suspects, missing, next := m.view.suspects(now, m.cfg.Timing.Expiry, m.cfg.Timing.blind())
		m.mu.Unlock()
		if missing {
			m.act.poke()
		}
		wait := next - now
		if err := m.killAll(ctx, suspects); err != nil {
			if ctx.Err() != nil {
				return
			}
			fails++
			m.report(err)
			wait = m.clock.delay(m.retries(), fails)
		} else {
			fails = 0
		}
		if m.clock.Wait(ctx, wait, m.kill) != nil {
			return
		}
	}
}

func (m *member) killAll(ctx context.Context, names []string) error {
	var errs []error
	for _, name := range names {
		if err := m.killOne(ctx, name); err != nil {
			errs = append(errs, fmt.Errorf("lease: kill session %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// killOne reads the session's row consistently and, if the heartbeat that stood still is there yet, marks it as dead. What became of that write the
// next round sees.
func (m *member) killOne(ctx context.Context, name string) error {
	m.mu.Lock()
	suspect, known := m.view.sessions[name]
	if !known {
		m.mu.Unlock()
		return nil
	}
	hb, since := suspect.row.HB, suspect.since
	m.mu.Unlock()
	key := sessionKey(name)
	rows, err := m.req.get(ctx, key)
	if err != nil {
		return err
	}
	f, now := m.decodeSession(rows[key]), m.clock.mono()
	m.mu.Lock()
	m.view.session(f.name, f.row, f.odd, now)
	still, _ := m.view.sessions[name].still(now, m.cfg.Timing.Expiry)
	m.mu.Unlock()
	if planted.Is(planted.BlindKill) {
		hb = f.row.HB
	}
	next, dying := killed(f.row, hb)
	switch {
	case dying && (still || planted.Is(planted.BlindKill)):
		if err := m.req.put(ctx, next.listed(next.encode()))[0]; err == nil {
			next.version++
			m.mu.Lock()
			m.view.session(name, next, false, m.clock.mono())
			m.mu.Unlock()
			m.log.Warn("lease: session is dead", "session", name, "silent", (now - since).Round(time.Millisecond))
		} else if !errors.Is(err, ErrConflict) {
			return err
		}
	case f.row.version != 0 && f.row.State == dead: // another was faster
	default:
		return nil
	}
	m.full.Store(true)
	m.poll.poke()
	m.act.poke()
	return nil
}
