package lease

import (
	"context"
	"errors"
	"fmt"
	"github.com/runnelhq/runnel/internal/planted"
	"maps"
	"slices"
	"strings"
	"time"
)

// begun tells whether a child is past its start: its parent's row is not needed for it any longer. A row that is gone was removed, so it had ended.
func begun(r shardRow) bool {
	return r.version == 0 || r.State == ended || !r.Position.IsZero() || planted.Is(planted.RemovedEarly)
}

// spent tells whether the row of a shard that the service no longer knows is of no use: the shard was read to its end, and each child is past its start. Removed earlier, its lineage
// would be replayed.
func spent(r shardRow, children []shardRow) bool {
	return r.version != 0 && r.State == ended && !r.wanted() && !slices.ContainsFunc(children, func(c shardRow) bool { return !begun(c) })
}

// revenant tells whether a row was made again for a shard that is long gone, as by a write that came very late: nobody ever took it, and a child of it is past its start, which it can
// only be when the shard had ended.
func revenant(r shardRow, children []shardRow) bool {
	return r.version != 0 && r.State == open && r.Owner == "" && r.Epoch == 0 &&
		slices.ContainsFunc(children, func(c shardRow) bool { return c.version != 0 && begun(c) })
}

// raised is the application's row with a floor that keeps the epochs of rows that are removed from being handed out again, and false if it has it.
func raised(app appRow, rows map[string]shardRow) (appRow, bool) {
	floor := app.Floor
	for _, r := range rows {
		floor = max(floor, r.Epoch)
	}
	if planted.Is(planted.FloorKept) {
		return app, false
	}
	changed := floor != app.Floor
	app.Floor = floor
	return app, changed
}

// prune removes the rows of shards that are finished. listed are the shards that the service has. It gives the application's row as it is then.
func (m *member) prune(ctx context.Context, app appRow, listed map[string]bool) (appRow, error) {
	ids := m.prunable(listed)
	if len(ids) == 0 {
		return app, nil
	}
	found, err := m.fetch(ctx, slices.Sorted(maps.Keys(m.withChildren(ids)))) // what is known is a hint
	if err != nil {
		return app, fmt.Errorf("lease: remove finished shards: %w", err)
	}
	rows := make(map[string]shardRow)
	for _, id := range ids {
		r, readable := found[id]
		children, all := m.children(r, found)
		if readable && all && (spent(r, children) || revenant(r, children)) {
			rows[id] = r
		}
	}
	if next, lower := raised(app, rows); lower {
		if app, err = m.updateApp(ctx, next, "raise the floor of epochs"); err != nil || app.Floor < next.Floor || app.Lister != m.s.name {
			return app, err
		}
	}
	var gone []Row
	for _, id := range ids {
		if r, is := rows[id]; is {
			gone = append(gone, Row{Key: r.key, Version: r.version})
			m.log.Debug("lease: finished shard removed", "shard", id, "epoch", r.Epoch)
		}
	}
	return app, m.removeAll(ctx, gone, ids)
}

func (m *member) removeAll(ctx context.Context, rows []Row, ids []string) error {
	if len(rows) == 0 {
		return nil
	}
	var failed error
	for _, err := range m.req.remove(ctx, rows...) {
		if err != nil && !errors.Is(err, ErrConflict) {
			failed = errors.Join(failed, err)
		}
	}
	_, err := m.fetch(ctx, ids)
	return errors.Join(failed, err)
}

// prunable is the shards that look finished, as many as one call writes: the service does not list them, and, asked for that very shard, does not know it.
func (m *member) prunable(listed map[string]bool) []string {
	m.mu.Lock()
	heirs := m.view.heirs()
	var ids []string
	for id, k := range m.view.shards {
		if listed[id] {
			continue
		}
		children := m.view.childrenOf(k.row, heirs)
		if (spent(k.row, children) || revenant(k.row, children)) && !m.busy(id) {
			ids = append(ids, id)
		}
	}
	m.mu.Unlock()
	slices.Sort(ids)
	ids = slices.DeleteFunc(ids, func(id string) bool { return !m.gone.gone(id) })
	return ids[:min(len(ids), writeBatch)]
}

// childrenOf is the rows of the children of a shard: those that it names, and those that name it.
func (v *view) childrenOf(r shardRow, heirs map[string][]string) []shardRow {
	var children []shardRow
	for _, id := range offspring(r, heirs) {
		row, _ := v.shard(id)
		children = append(children, row)
	}
	return children
}

// heirs is the shards that name each shard as a parent.
func (v *view) heirs() map[string][]string {
	heirs := make(map[string][]string)
	for id, k := range v.shards {
		for _, parent := range k.row.Parents {
			heirs[parent] = append(heirs[parent], id)
		}
	}
	return heirs
}

func offspring(r shardRow, heirs map[string][]string) []string {
	ids := union(r.Children, heirs[r.ID])
	slices.Sort(ids)
	return ids
}

func (m *member) withChildren(ids []string) map[string]bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	heirs := m.view.heirs()
	all := make(map[string]bool)
	for _, id := range ids {
		all[id] = true
		r, _ := m.view.shard(id)
		for _, child := range offspring(r, heirs) {
			all[child] = true
		}
	}
	return all
}

// children is what a read found of a shard's children, and false if it did not find all that are known.
func (m *member) children(r shardRow, found map[string]shardRow) ([]shardRow, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var rows []shardRow
	for _, id := range offspring(r, m.view.heirs()) {
		child, readable := found[id]
		if !readable {
			return nil, false
		}
		rows = append(rows, child)
	}
	return rows, true
}

// buried is how many expiries a session is dead before its row is removed.
const buried = 10

// removable tells whether a session's row may be removed by another: it is dead for good.
func removable(r sessionRow) bool {
	return r.version != 0 && (r.State == dead || planted.Is(planted.LiveRemoved))
}

// clear removes the rows of sessions of this application that are long dead and that no shard names, and of members without a session. A session that took part in nothing, for
// its process died before it could, is marked as dead first.
func (m *member) clear(ctx context.Context) error {
	now := m.clock.mono()
	m.mu.Lock()
	sessions, ghosts, strays := m.view.corpses(m.cfg.App, now, buried*m.cfg.Timing.Expiry)
	m.mu.Unlock()
	rows := make([]Row, 0, len(sessions)+len(strays))
	for _, r := range sessions {
		rows = append(rows, Row{Key: r.key, Version: r.version})
	}
	lost, err := m.lost(ctx, strays)
	err = errors.Join(err, m.killAll(ctx, ghosts))
	for _, r := range lost {
		rows = append(rows, Row{Key: r.key, Version: r.version})
	}
	for _, failure := range m.req.remove(ctx, rows...) {
		if failure != nil && !errors.Is(failure, ErrConflict) {
			err = errors.Join(err, failure)
		}
	}
	if err != nil {
		return fmt.Errorf("lease: remove dead sessions: %w", err)
	}
	return nil
}

// lost are the members whose session is over, as a read says that is sent after the one that found the member: a session has its row before its member has.
func (m *member) lost(ctx context.Context, names []string) ([]memberRow, error) {
	if len(names) == 0 {
		return nil, nil
	}
	if _, err := m.fetchSessions(ctx, names); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var rows []memberRow
	for _, name := range names {
		if r := m.view.members[name]; r.version != 0 && m.view.strays(name) {
			rows = append(rows, r)
		}
	}
	return rows, nil
}

// corpses are the sessions of an application that have been dead for so long and that no shard names, ghosts those that have stood still for so long without being marked as dead, and
// strays the members whose session is over.
func (v *view) corpses(app string, now, long time.Duration) (sessions []sessionRow, ghosts, strays []string) {
	owners := v.owners()
	for name, s := range v.sessions {
		if still, _ := s.still(now-long, 0); !still || s.odd || owners[name] || v.takesPart(name) || s.row.app() != app {
			continue
		}
		switch {
		case removable(s.row):
			sessions = append(sessions, s.row)
		case s.row.version != 0:
			ghosts = append(ghosts, name)
		}
	}
	for name := range v.members {
		if name != v.me && !owners[name] && v.strays(name) {
			strays = append(strays, name)
		}
	}
	slices.SortFunc(sessions, func(a, b sessionRow) int { return strings.Compare(a.key, b.key) })
	slices.Sort(ghosts)
	slices.Sort(strays)
	return sessions, ghosts, strays
}

// strays tells whether a member's session is over, as far as is known.
func (v *view) strays(name string) bool {
	s := v.sessions[name]
	return s == nil || !s.odd && (s.row.version == 0 || removable(s.row))
}
