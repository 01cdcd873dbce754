package lease

import (
	"context"
	"errors"
	"fmt"

	"github.com/runnelhq/runnel/checkpoint"
)

// entering is the application's row as a worker that begins wants it, and whether that must be written. The error wraps [ErrStream]. A worker has just asked the service
// which incarnation there is, so that its own counts; a new one is read from its beginning.
func entering(r appRow, session, stream, incarnation string, start checkpoint.Start) (next appRow, write bool, err error) {
	switch {
	case r.version == 0:
		r.Stream, r.Incarnation, r.Start, r.Lister, r.Claims = stream, incarnation, start, session, 1
		return r, true, nil
	case r.Stream != stream:
		return r, false, fmt.Errorf("%w: it reads %s, and this worker wants %s: choose another name, or remove the rows of the old one", ErrStream, r.Stream, stream)
	case r.Incarnation != incarnation:
		r.Incarnation, r.Start, r.Listed = incarnation, checkpoint.Start{}, false
		r.Reset = nil // it was of the old one's shards
		r.Lister = session
		r.Claims++
		return r, true, nil
	}
	return r, false, nil
}

// enterApp reads the application's row, and makes or corrects it.
func (m *member) enterApp(ctx context.Context) error {
	for {
		r, err := m.fetchApp(ctx)
		if err != nil {
			return err
		}
		next, write, err := entering(r, m.s.name, m.cfg.Stream, m.cfg.Incarnation, m.cfg.Start)
		if err != nil {
			return fmt.Errorf("lease: application %s: %w", m.cfg.App, err)
		}
		if !write {
			return nil
		}
		if r.version == 0 {
			next.History = m.born()
		}
		if r.version != 0 {
			m.log.Warn("lease: the stream has another incarnation, which is read from its beginning", "old", r.Incarnation, "new", m.cfg.Incarnation)
		}
		if err := m.putApp(ctx, next); err != nil && !errors.Is(err, ErrConflict) {
			return err
		}
	}
}

// fetchApp reads the application's row consistently and takes it in. The error wraps [ErrRow] if it is corrupt, and is reported then.
func (m *member) fetchApp(ctx context.Context) (appRow, error) {
	key := m.keys.application()
	rows, err := m.req.get(ctx, key)
	if err != nil {
		return appRow{}, err
	}
	if rows[key].Version == 0 {
		return appRow{head: head{key: key}}, nil
	}
	r, err := decodeApp(rows[key])
	if err != nil {
		m.odd(rows[key], err)
		return appRow{}, err
	}
	m.mu.Lock()
	m.view.application(r, m.clock.mono())
	m.accepted = r.History
	m.mu.Unlock()
	return r, nil
}

// putApp writes the application's row. After an error, ErrConflict included, it must be read again.
func (m *member) putApp(ctx context.Context, r appRow) error {
	err := m.req.put(ctx, r.quietly(r.encode()))[0]
	if err == nil {
		r.version++
		m.mu.Lock()
		m.view.application(r, m.clock.mono())
		m.mu.Unlock()
	}
	return err
}

// readApp is the poll's look at the application. While the row is corrupt nothing is taken.
func (m *member) readApp(ctx context.Context) error {
	r, err := m.fetchApp(ctx)
	switch {
	case errors.Is(err, ErrRow):
		return nil
	case err != nil:
		return err
	case r.version == 0 || r.Incarnation != m.cfg.Incarnation:
		return m.reconsider(ctx, r)
	}
	return m.acceptHistory(ctx, r)
}

// reconsider asks the service which incarnation there is, when the application's row names another than this worker's or is gone.
func (m *member) reconsider(ctx context.Context, r appRow) error {
	if r.version != 0 {
		now := r.Incarnation
		if m.cfg.Incarnated != nil {
			var err error
			if now, err = m.incarnated(ctx); err != nil {
				m.report(err)
				return nil
			}
		}
		if now != m.cfg.Incarnation {
			m.fail(m.otherIncarnation(now))
			return nil
		}
	}
	return m.enterApp(ctx)
}

func (m *member) incarnated(ctx context.Context) (string, error) {
	ctx, cancel := m.clock.Limit(ctx, askLimit, context.DeadlineExceeded)
	defer cancel()
	now, err := m.cfg.Incarnated(ctx)
	if err != nil {
		return "", fmt.Errorf("lease: ask which incarnation the stream has: %w", err)
	}
	return now, nil
}

func (m *member) otherIncarnation(now string) error {
	return fmt.Errorf("%w: stream %s is %s now, and this worker reads %s", ErrIncarnation, m.cfg.Stream, now, m.cfg.Incarnation)
}
