package lease

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/internal/planted"
)

var errNoShards = errors.New("the service did not answer in time")

// lists lists the stream's shards while this worker is the one that does it for all, until ctx ends or the worker stops.
func (m *member) lists(ctx context.Context) {
	var next, claimed time.Duration
	retries := backoff.Policy{Base: m.cfg.Timing.Poll / 4, Cap: m.cfg.Timing.List}
	for fails := 0; !m.stopped(); {
		now := m.clock.mono()
		wait := m.cfg.Timing.Poll
		if m.listing(now) {
			if now >= next {
				err := m.listOnce(ctx, &claimed)
				if ctx.Err() != nil {
					return
				}
				next = m.clock.mono() + m.clock.jitter(m.cfg.Timing.List)
				if err != nil {
					fails++
					m.report(err)
					next = m.clock.mono() + m.clock.delay(retries, fails)
				} else {
					fails = 0
				}
			}
			wait = next - m.clock.mono()
		}
		if m.clock.Wait(ctx, wait, m.list) != nil {
			return
		}
	}
}

// listing tells whether this worker lists, or shall take that over.
func (m *member) listing(now time.Duration) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.view.lists(now, m.cfg.Timing.late())
}

// listOnce claims the listing if that is due, and has a row made for every shard that has none.
func (m *member) listOnce(ctx context.Context, claimed *time.Duration) error {
	app, err := m.fetchApp(ctx)
	if errors.Is(err, ErrRow) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("lease: list the shards: %w", err)
	}
	if app.version == 0 || app.Incarnation != m.cfg.Incarnation {
		return nil // the polls see to it
	}
	if app.Lister != m.s.name {
		if app, err = m.claim(ctx, app, claimed); err != nil || app.Lister != m.s.name {
			return err
		}
		if planted.Is(planted.LatestAgain) && app.Start.Kind() == checkpoint.StartAtTime {
			app.Start = checkpoint.Latest()
		}
	}
	if app.Start.Kind() == checkpoint.StartLatest {
		if app, err = m.pin(ctx, app); err != nil {
			return err
		}
		if app.Start.Kind() == checkpoint.StartLatest {
			return nil // another worker lists now
		}
	}
	if m.cfg.Incarnated != nil {
		now, err := m.incarnated(ctx)
		if err != nil {
			m.report(err) // Shards names the incarnation itself: its listing can be used all the same
		} else if now != m.cfg.Incarnation {
			m.fail(m.otherIncarnation(now))
			return nil
		}
	}
	if app, err = m.sync(ctx, app); err != nil {
		return err // and the claim grows old: another may be able to list
	}
	if m.clock.mono()-*claimed >= claimEvery {
		_, err = m.claim(ctx, app, claimed)
	}
	return err
}

// claim says in the application's row that this worker lists.
func (m *member) claim(ctx context.Context, app appRow, claimed *time.Duration) (appRow, error) {
	app.Lister = m.s.name
	app.Claims++
	app, err := m.updateApp(ctx, app, "claim the listing of shards")
	if err == nil {
		*claimed = m.clock.mono()
	}
	return app, err
}

// pin resolves LATEST once for all shards, before any of them has a row.
func (m *member) pin(ctx context.Context, app appRow) (appRow, error) {
	limited, cancel := m.clock.Limit(ctx, askLimit, context.DeadlineExceeded)
	defer cancel()
	at, err := m.cfg.Pin(limited, app.Start)
	if err == nil && at.Kind() == checkpoint.StartLatest {
		err = errors.New("it is still LATEST")
	}
	if err != nil {
		return app, fmt.Errorf("lease: pin the start %s: %w", app.Start, err)
	}
	app.Start = at
	return m.updateApp(ctx, app, "store the pinned start")
}

// updateApp writes the application's row and gives what a read that is sent afterwards finds.
func (m *member) updateApp(ctx context.Context, app appRow, what string) (appRow, error) {
	err := m.putApp(ctx, app)
	now, readErr := m.fetchApp(ctx)
	if readErr != nil || now.version == 0 {
		return app, fmt.Errorf("lease: %s: %w", what, errors.Join(err, readErr, errUnknown))
	}
	if now.Lister != m.s.name || now.Incarnation != m.cfg.Incarnation {
		return now, nil
	}
	if now.version <= app.version {
		return app, fmt.Errorf("lease: %s: %w", what, err)
	}
	return now, nil
}

// sync lists the stream's shards and makes the rows that are missing. Of a listing that ends with an error it uses what came before. Once a
// listing came to its end and all its shards have rows, the application's row says so.
func (m *member) sync(ctx context.Context, app appRow) (appRow, error) {
	var found []Shard
	var listErr error
	for s, err := range patient(ctx, m.clock, max(m.cfg.Timing.List, askLimit), errNoShards, "lease: list the shards", m.cfg.Shards) {
		if err == nil {
			err = checkShard(s)
		}
		if err != nil {
			listErr = errors.Join(listErr, err)
			continue
		}
		found = append(found, s)
	}
	if err := errors.Join(listErr, m.makeRows(ctx, app, found)); err != nil {
		return app, err
	}
	if len(found) == 0 {
		return app, nil
	}
	if !app.Listed {
		app.Listed = true
		return m.updateApp(ctx, app, "store that the shards were listed")
	}
	listed := make(map[string]bool, len(found))
	for _, s := range found {
		listed[s.ID] = true
	}
	app, err := m.prune(ctx, app, listed)
	return app, errors.Join(err, m.clear(ctx))
}

// makeRows makes the rows that shards lack, parents first, and adds parents that a row does not name.
func (m *member) makeRows(ctx context.Context, app appRow, found []Shard) error {
	listed := make(map[string]bool, len(found))
	var news, lacking []Shard
	m.mu.Lock()
	for _, s := range found {
		listed[s.ID] = true
		if r, ok := m.view.shard(s.ID); !ok {
			news = append(news, s)
		} else if _, lacks := withParents(r, s.Parents); lacks {
			lacking = append(lacking, s)
		}
	}
	m.mu.Unlock()
	if len(news)+len(lacking) == 0 {
		return nil
	}
	ask := make(map[string]bool)
	for _, s := range append(news, lacking...) {
		ask[s.ID] = true
		for _, id := range s.Parents {
			ask[id] = true
		}
	}
	rows, err := m.fetch(ctx, slices.Sorted(maps.Keys(ask)))
	if err != nil {
		return err
	}
	var writes []Row
	var ids []string
	for _, s := range append(news, lacking...) {
		r, readable := rows[s.ID]
		if !readable {
			continue
		}
		changed := r.version == 0
		if changed {
			r = newRow(m.keys.shard(s.ID), s, startOf(app, hasRow(s, rows, listed)), generationOf(app, s, rows))
		} else {
			r, changed = withParents(r, s.Parents)
		}
		if changed {
			writes = append(writes, r.listed(r.encode()))
			ids = append(ids, s.ID)
		}
	}
	if len(writes) == 0 {
		return nil
	}
	var failed error
	for _, err := range m.req.put(ctx, writes...) {
		if err != nil && !errors.Is(err, ErrConflict) {
			failed = errors.Join(failed, err)
		}
	}
	_, err = m.fetch(ctx, ids)
	m.act.poke()
	return errors.Join(failed, err)
}

// hasRow tells whether a parent of s has a row or gets one now.
func hasRow(s Shard, rows map[string]shardRow, listed map[string]bool) bool {
	for _, id := range s.Parents {
		if rows[id].version != 0 || listed[id] {
			return true
		}
	}
	return false
}
