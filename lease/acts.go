package lease

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"github.com/runnelhq/runnel/internal/planted"
	"maps"
	"slices"
	"time"
)

// acts does what the plan says, each time something was learned, until ctx ends or the worker stops.
func (m *member) acts(ctx context.Context) {
	for fails := 0; !m.stopped(); {
		p, now := m.planned()
		wait := m.cfg.Timing.Poll
		if p.next > 0 {
			wait = min(wait, p.next-now)
		}
		if err := m.perform(ctx, p); err != nil {
			if ctx.Err() != nil {
				return
			}
			fails++
			m.report(err)
			wait = m.clock.delay(m.retries(), fails)
		} else {
			fails = 0
			m.completed(&m.acted)
		}
		if m.clock.Wait(ctx, wait, m.act) != nil {
			return
		}
	}
}

func (m *member) planned() (plan, time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock.mono()
	m.view.gather(now)
	held := func(id string) bool { return m.holds[id].until > now }
	m.view.handing = m.handing()
	p := m.view.plan(m.busy, held, now, m.cfg.Timing)
	if forgetful, due := m.view.forgetful(now, m.cfg.Timing.Expiry); forgetful {
		p.take = nil
		p.wake(due)
	}
	if p.await && !m.awaits {
		m.awaitsSince = now
		m.poll.poke() // its wait was for a quieter time
	}
	m.awaits = p.await
	return p, now
}

// handing is what is being drained, each for whom. To be called with mu held.
func (m *member) handing() map[string]string {
	next := make(map[string]string)
	for id, k := range m.works {
		if name := k.lease.successor(); name != "" && !k.returned {
			next[id] = name
		}
	}
	return next
}

func (m *member) perform(ctx context.Context, p plan) error {
	m.mu.Lock()
	for _, h := range p.drain {
		if k := m.works[h.shard]; k != nil && !k.returned {
			k.lease.drain(h.next)
		}
	}
	m.mu.Unlock()
	var errs []error
	for batch := range slices.Chunk(p.take, writeBatch) {
		if m.stopped() {
			break
		}
		errs = append(errs, m.take(ctx, batch))
	}
	for batch := range slices.Chunk(p.free, writeBatch) {
		errs = append(errs, m.free(ctx, batch))
	}
	errs = append(errs, m.reweigh(ctx))
	return errors.Join(errs...)
}

// reweigh stores the weights that have changed, once in a while: most are stored with a checkpoint.
func (m *member) reweigh(ctx context.Context) error {
	now := m.clock.mono()
	if !m.cfg.ByWeight || now-m.weighed < weightTime {
		return nil
	}
	m.weighed = now
	m.mu.Lock()
	var leases []*Lease
	for _, id := range slices.Sorted(maps.Keys(m.works)) {
		if k := m.works[id]; !k.returned {
			leases = append(leases, k.lease)
		}
	}
	m.mu.Unlock()
	var errs []error
	for batch := range slices.Chunk(leases, writeBatch) {
		errs = append(errs, m.reweighBatch(ctx, batch))
	}
	return errors.Join(errs...)
}

// reweighBatch writes each row once: what fails comes again with the next checkpoint or the next round, and holds up no take.
func (m *member) reweighBatch(ctx context.Context, leases []*Lease) error {
	var sent []*Lease
	var rows []shardRow
	var writes []Row
	for _, l := range leases {
		if r, news := l.reweighed(); news {
			sent, rows, writes = append(sent, l), append(rows, r), append(writes, r.row(true))
		}
	}
	var errs []error
	for i, err := range m.req.put(ctx, writes...) {
		switch {
		case err == nil:
			rows[i].version++
			sent[i].keep(rows[i], true)
		case !errors.Is(err, ErrConflict):
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// take takes shards: it reads their rows, then the evidence, and writes those that may be taken.
func (m *member) take(ctx context.Context, ids []string) error {
	rows, err := m.fetch(ctx, ids)
	if err != nil {
		return fmt.Errorf("lease: take shards: %w", err)
	}
	judge, history, err := m.evidence(ctx, rows) // sent after the rows were read
	if err != nil {
		return fmt.Errorf("lease: take shards: %w", err)
	}
	if planted.Is(planted.EvidenceFirst) {
		if rows, err = m.fetch(ctx, ids); err != nil {
			return err
		}
	}
	m.completed(&m.acted)
	var writes []Row
	wanted := make(map[string]shardRow)
	for _, id := range ids {
		r, there := rows[id]
		if !there {
			continue
		}
		next, why := take(r, m.s.name, m.cfg.Incarnation, judge(r))
		next.Zone = cmp.Or(m.cfg.Zone, next.Zone)
		if why != taken {
			m.log.Debug("lease: not taken", "shard", id, "why", why)
			continue
		}
		wanted[id] = next
		writes = append(writes, next.listed(next.encode()))
	}
	if len(writes) == 0 || !m.s.valid() || m.stopped() {
		return nil
	}
	return m.write(ctx, writes, wanted, history)
}

// write sends takes that rest on evidence of a history, and starts work on what a read that is sent afterwards shows to be taken: an answer may be lost, and it lacks the cursor.
func (m *member) write(ctx context.Context, writes []Row, wanted map[string]shardRow, history string) error {
	answers := m.req.put(ctx, writes...)
	rows, err := m.fetch(ctx, slices.Sorted(maps.Keys(wanted)))
	errs := []error{err}
	for i, answer := range answers {
		id, _ := shardID(writes[i].Key)
		want := wanted[id]
		row, read := rows[id]
		switch {
		case planted.Is(planted.ConflictRefused) && errors.Is(answer, ErrConflict):
		case !read && answer == nil:
			want.version++
			want.cursor = ""
			m.begin(ctx, want, history)
		case read && row.Owner == m.s.name && row.Epoch == want.Epoch && row.State == open:
			m.begin(ctx, row, history)
		case answer != nil && !errors.Is(answer, ErrConflict):
			errs = append(errs, answer)
		}
	}
	return errors.Join(errs...)
}

// evidence reads what takes of rows rest on, and gives the store's history in which it did. The reads are sent after those of the rows: a listing from before would lack a session that joined and
// took meanwhile.
func (m *member) evidence(ctx context.Context, rows map[string]shardRow) (judge func(shardRow) evidence, history string, err error) {
	var owners, parents []string
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		r := rows[id]
		if r.Owner != "" && r.Owner != m.s.name && !slices.Contains(owners, r.Owner) {
			owners = append(owners, r.Owner)
		}
		parents = union(parents, r.Parents)
	}
	app, err := m.readOwners(ctx, owners)
	if err != nil {
		return nil, "", err
	}
	if history, err = m.req.history(ctx); err != nil {
		return nil, "", err
	}
	found, err := m.fetch(ctx, parents)
	if err != nil {
		return nil, "", err
	}
	return func(r shardRow) evidence {
		m.mu.Lock()
		defer m.mu.Unlock()
		e := evidence{app: app, history: history, running: m.busy(r.ID), parents: make(map[string]parent, len(r.Parents))}
		if r.Owner != "" {
			e.owner = m.view.owner(r.Owner, m.clock.mono(), m.cfg.Timing.Expiry)
		}
		for _, id := range r.Parents {
			if p, readable := found[id]; readable {
				e.parents[id] = m.parent(r, p)
				e.reset = max(e.reset, p.Generation)
			}
		}
		return e
	}, history, nil
}

// readOwners reads the application's row and sessions consistently. An application that is missing or corrupt has version 0: it is no evidence.
func (m *member) readOwners(ctx context.Context, owners []string) (appRow, error) {
	found, err := m.fetchSessions(ctx, owners, m.keys.application())
	if err != nil {
		return appRow{}, err
	}
	row := found[m.keys.application()]
	if row.Version == 0 {
		return appRow{}, nil
	}
	app, err := decodeApp(row)
	if err != nil {
		m.odd(row, err)
		return appRow{}, nil
	}
	return app, nil
}

// fetchSessions reads sessions consistently and takes them in, missing ones too. It reads rows of other keys with them.
func (m *member) fetchSessions(ctx context.Context, sessions []string, others ...string) (map[string]Row, error) {
	names := make([]string, len(sessions))
	for i, s := range sessions {
		names[i] = sessionKey(s)
	}
	found, err := m.req.get(ctx, slices.Concat(names, others)...)
	if err != nil {
		return nil, err
	}
	rows := make([]foundSession, len(names))
	for i, key := range names {
		rows[i] = m.decodeSession(found[key])
	}
	now := m.clock.mono()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range rows {
		m.view.session(f.name, f.row, f.odd, now)
	}
	return found, nil
}

// parent judges a parent of child by its row, which was read as evidence. A child with a position was begun when the parent had ended, whose row was removed since.
func (m *member) parent(child, r shardRow) parent {
	p := parent{epoch: r.Epoch, generation: r.Generation}
	switch {
	case r.version == 0 && (!child.Position.IsZero() || m.gone.gone(r.ID)):
		p.state = parentGone
	case r.version == 0:
		p.state = parentUnknown
	case r.State == ended && !r.reopening():
		p.state = parentEnded
	default:
		p.state = parentOpen
	}
	return p
}

// free gives up rows that name this session although it runs no work on them: an epoch that is over and whose release got lost, or a take that came too
// late. It is a release at the position that is stored.
func (m *member) free(ctx context.Context, ids []string) error {
	rows, err := m.fetch(ctx, ids)
	if err != nil {
		return fmt.Errorf("lease: free shards: %w", err)
	}
	m.completed(&m.acted) // a row that cannot be written is that shard's trouble
	var writes []Row
	for _, id := range ids {
		m.mu.Lock()
		next, mine := freed(rows[id], m.s.name, m.busy(id))
		m.mu.Unlock()
		if mine {
			writes = append(writes, next.listed(next.encode()))
		}
	}
	if len(writes) == 0 {
		return nil
	}
	err = errors.Join(m.req.put(ctx, writes...)...)
	_, readErr := m.fetch(ctx, ids)
	return errors.Join(err, readErr)
}

// freeRest frees, at the end, whatever still names this session.
func (m *member) freeRest(ctx context.Context) error {
	m.mu.Lock()
	var ids []string
	for id, k := range m.view.shards {
		if k.row.Owner == m.s.name && !m.busy(id) {
			ids = append(ids, id)
		}
	}
	m.mu.Unlock()
	slices.Sort(ids)
	var errs []error
	for batch := range slices.Chunk(ids, writeBatch) {
		errs = append(errs, m.free(ctx, batch))
	}
	return errors.Join(errs...)
}
