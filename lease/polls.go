package lease

import (
	"context"
	"fmt"
	"time"
)

// polls looks at the other workers and at what changed, until ctx ends.
func (m *member) polls(ctx context.Context) {
	var fullAt time.Duration
	for fails := 0; ; {
		full := m.full.Swap(false) || m.clock.mono() >= fullAt
		err := m.round(ctx, full)
		wait := m.clock.jitter(m.pace())
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			fails++
			m.full.Store(m.full.Load() || full)
			m.report(fmt.Errorf("lease: poll: %w", err))
			wait = m.clock.delay(m.retries(), fails)
		} else {
			fails = 0
			m.completed(&m.polled)
			if full {
				fullAt = m.clock.mono() + m.clock.jitter(m.cfg.Timing.fullListing(m.shards()))
			}
		}
		m.act.poke()
		m.kill.poke()
		m.list.poke()
		if m.clock.Wait(ctx, wait, m.poll) != nil {
			return
		}
	}
}

// haste is how much oftener a worker looks while a shard is about to be released to it, and eager how long it does so at most.
const (
	haste = 4
	eager = time.Minute
)

// pace is the time until the next poll.
func (m *member) pace() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.awaits && m.clock.mono()-m.awaitsSince < eager {
		return m.cfg.Timing.Poll / haste
	}
	return m.cfg.Timing.Poll
}

// shards is how many there are.
func (m *member) shards() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.view.shards)
}

// round reads the sessions, the members, the application and the shards that changed, or all of them.
func (m *member) round(ctx context.Context, full bool) error {
	if err := m.readHistory(ctx); err != nil {
		return err
	}
	if err := m.readSessions(ctx); err != nil {
		return err
	}
	if err := m.readMembers(ctx, full); err != nil {
		return err
	}
	if err := m.readApp(ctx); err != nil {
		return err
	}
	return m.readShards(ctx, full)
}

func (m *member) readSessions(ctx context.Context) error {
	names := make(map[string]bool)
	var rows []Row
	for row, err := range m.req.list(ctx, sessionGroup, "") {
		if err != nil {
			return err
		}
		names[lastName(row.Key)] = true
		rows = append(rows, row)
	}
	found := make([]foundSession, len(rows))
	for i, row := range rows {
		found[i] = m.decodeSession(row)
	}
	now := m.clock.mono()
	m.mu.Lock()
	for _, f := range found {
		m.view.session(f.name, f.row, f.odd, now)
	}
	missing := m.view.sessionsRead(names, now, m.cfg.Timing.blind())
	m.view.gather(now)
	m.mu.Unlock()
	_, err := m.fetchSessions(ctx, missing)
	return err
}

// foundSession is a session's row as a read found it; see [view.session].
type foundSession struct {
	name string
	row  sessionRow
	odd  bool
}

func (m *member) decodeSession(row Row) foundSession {
	f := foundSession{name: lastName(row.Key)}
	if row.Version == 0 {
		return f
	}
	var err error
	if f.row, err = decodeSession(row); err != nil {
		f.odd = true
		m.odd(row, err)
	}
	return f
}

// odd reports a row that is corrupt, or has something that this version does not know, once a version.
func (m *member) odd(row Row, err error) {
	m.mu.Lock()
	known := m.corrupted[row.Key] == row.Version
	m.corrupted[row.Key] = row.Version
	m.mu.Unlock()
	if !known {
		m.worker.report(err)
	}
}

// readMembers lists who joined, or all: who is gone has no session that lives.
func (m *member) readMembers(ctx context.Context, full bool) error {
	m.mu.Lock()
	after, stored := m.view.joined, m.view.members[m.s.name]
	m.mu.Unlock()
	if full {
		after, stored = "", memberRow{}
	}
	listed := m.req.stamp()
	rows := make(map[string]memberRow)
	for row, err := range m.req.list(ctx, m.keys.members(), after) {
		if err != nil {
			return err
		}
		r, err := decodeMember(row)
		if err != nil {
			m.odd(row, err) // it is a member all the same
		}
		rows[lastName(row.Key)] = r
	}
	own := m.itself()
	if r, is := rows[m.s.name]; is {
		stored = r
	}
	if !stored.says(own) && !m.stopped() {
		if err := m.putMember(ctx); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.view.membersRead(rows, full, own)
	m.view.joined = max(m.view.joined, listed)
	m.view.gather(m.clock.mono())
	return nil
}

// readShards lists what changed, or everything: then what does not agree with what is known is read.
func (m *member) readShards(ctx context.Context, full bool) error {
	m.mu.Lock()
	asked, after := m.view.tick, m.view.cursor
	m.mu.Unlock()
	if full {
		after = ""
	}
	begun := m.req.stamp()
	listed := make(map[string]uint64)
	var rows []shardRow
	for row, err := range m.req.list(ctx, m.keys.shards(), after) {
		if err != nil {
			return err
		}
		if r, ok := m.decodeShard(row); ok {
			rows = append(rows, r)
			listed[r.ID] = r.version
		} else if id, err := shardID(row.Key); err == nil {
			listed[id] = row.Version
		}
	}
	m.mu.Lock()
	for _, r := range rows {
		m.heard(r)
		m.view.hint(r)
	}
	m.view.cursor = max(m.view.cursor, begun)
	var dubious []string
	if full {
		dubious = m.view.dubious(listed, asked)
	}
	m.mu.Unlock()
	_, err := m.fetch(ctx, dubious)
	return err
}

// decodeShard reports a row that it cannot read: that shard is left alone. One whose request it does not know rests.
func (m *member) decodeShard(row Row) (shardRow, bool) {
	r, err := decodeShard(row)
	if err != nil {
		m.odd(row, err)
		return r, false
	}
	if _, err := r.asked(); err != nil {
		m.odd(row, err)
	}
	return r, true
}

// heard has a lease end that a listing shows to be another's. To be called with mu held.
func (m *member) heard(r shardRow) {
	k := m.works[r.ID]
	if k == nil || k.returned || k.lease.over.Load() || r.version <= k.lease.stored().version || k.lease.holder.holds(r) {
		return
	}
	k.lease.lose(fmt.Errorf("the row says owner %q, epoch %d, generation %d, %s", r.Owner, r.Epoch, r.Generation, r.State))
}

// fetch reads shards' rows consistently, and takes in what it found. A row that does not exist has version 0. Corrupt
// rows are reported and left out.
func (m *member) fetch(ctx context.Context, ids []string) (map[string]shardRow, error) {
	m.mu.Lock()
	asked := m.view.tick
	m.mu.Unlock()
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = m.keys.shard(id)
	}
	found, err := m.req.get(ctx, names...)
	if err != nil {
		return nil, err
	}
	rows := make(map[string]shardRow, len(ids))
	for i, id := range ids {
		row := found[names[i]]
		if row.Version == 0 {
			rows[id] = shardRow{ID: id}
		} else if r, ok := m.decodeShard(row); ok {
			rows[id] = r
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range rows {
		m.view.answer(r, asked)
	}
	return rows, nil
}
