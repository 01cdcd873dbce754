package lease

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/runnelhq/runnel/internal/ground"
	"github.com/runnelhq/runnel/internal/planted"
)

// member is a worker's part in the application during one session.
type member struct {
	*worker

	s         *session
	view      *view  // guarded by the worker's mu
	history   string // of the store as of the last heartbeat that counts; guarded by mu
	corrupted map[string]uint64

	weighed     time.Duration // when weights were last looked at; the acting loop's
	awaits      bool          // a live worker has what is meant for this one; guarded by mu, as since when
	awaitsSince time.Duration

	stopping chan struct{} // closed when no shard shall be taken any longer
	stopOnce sync.Once
	unlist   context.CancelFunc // ends the listing of shards
	ended    chan struct{}      // closed, after why was set, when the application cannot go on
	endOnce  sync.Once
	why      error

	lookers, takers ground.Group

	poll, act, kill, list wake
	full                  atomic.Bool  // the next poll lists every shard
	polled, acted         atomic.Int64 // when a round of each was last completed, on the monotonic clock
}

func newMember(w *worker) *member {
	m := &member{
		worker: w, corrupted: make(map[string]uint64),
		stopping: make(chan struct{}), ended: make(chan struct{}),
		lookers: w.clock.Group(), takers: w.clock.Group(),
		poll: newWake(), act: newWake(), kill: newWake(), list: newWake(),
	}
	m.s = newSession(w.cfg.App, w.cfg.Worker, w.req, w.cfg.Timing, w.clock)
	m.view = newView(m.s.name, w.clock.mono())
	m.s.report, m.s.steady, m.s.confirm = w.report, m.steady, m.confirm
	m.full.Store(true)
	return m
}

// completed notes that a round was; 0 is that none ever was, which the first instant of a clock must not be taken for.
func (m *member) completed(what *atomic.Int64) { what.Store(max(1, int64(m.clock.mono()))) }

// steady tells whether this worker polls and takes. One that does not must not heartbeat, so that others take what is meant for it. Before it takes part nothing
// is, and its first heartbeats may take as long as they like.
func (m *member) steady(now time.Duration) bool {
	last := m.polled.Load()
	if last == 0 || planted.Is(planted.BlindBeat) {
		return true
	}
	if !m.stopped() {
		last = min(last, m.acted.Load())
	}
	return now-time.Duration(last) < m.cfg.Timing.Expiry
}

// serve has one session. over is that it is over and another shall follow.
func (w *worker) serve(ctx context.Context) (over bool, err error) {
	m := newMember(w)
	if err := m.s.join(ctx); err != nil {
		m.leave(context.WithoutCancel(ctx))
		return errors.Is(err, errOver), nil
	}
	retired := false
	life, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(nil)
	listing, unlist := context.WithCancel(life) // until nothing shall be taken any longer
	m.unlist = unlist
	entering, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	sessions := m.clock.Group()
	sessions.Go(func() {
		why := m.s.run(life)
		end(why)
		giveUp(why)
		if errors.Is(why, errOver) {
			m.stop()
			m.lose(why)
		}
	})
	sessions.Go(func() { m.s.watch(life, func() { m.lose(errLapsed) }) })
	if err = m.enter(entering); err == nil {
		w.log.Info("lease: joined", "session", m.s.name)
		m.start(life, listing)
		_ = m.clock.Wait(ctx, ground.Forever, life.Done(), m.ended)
		err = m.failure()
		if retired = errors.Is(err, errRetired); retired {
			w.log.Warn("lease: a handler is stuck: the session ends, and another takes over what it has", "session", m.s.name)
			err = nil
		}
	}
	over = errors.Is(context.Cause(life), errOver) && ctx.Err() == nil && err == nil
	retired = retired && !over
	if !over {
		m.s.drain()
		m.drain()
		m.takers.Wait()
		w.working.Wait()
	}
	end(nil)
	m.takers.Wait()
	m.lookers.Wait()
	sessions.Wait()
	if !over {
		m.leave(context.WithoutCancel(ctx))
	}
	over = over || retired && ctx.Err() == nil
	if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
		err = nil
	}
	return over, err
}

// enter waits for the first acknowledged heartbeat, reads or makes the application's row and puts the member's.
func (m *member) enter(ctx context.Context) error {
	for !m.s.valid() {
		if err := m.clock.Wait(ctx, m.cfg.Timing.Heartbeat, m.s.acked); err != nil {
			return unlessOver(err)
		}
	}
	for fails := 1; ; fails++ {
		err := m.enterOnce(ctx)
		if err == nil || errors.Is(err, ErrStream) || errors.Is(err, ErrRow) {
			return err
		}
		if ctx.Err() != nil {
			return unlessOver(context.Cause(ctx))
		}
		m.report(fmt.Errorf("lease: join application %s: %w", m.cfg.App, err))
		if err := m.clock.rest(ctx, m.retries(), fails); err != nil {
			return unlessOver(err)
		}
	}
}

// unlessOver is nil for a session that is over: that is no failure of the application.
func unlessOver(err error) error {
	if errors.Is(err, errOver) {
		return nil
	}
	return err
}

func (m *member) enterOnce(ctx context.Context) error {
	if err := m.readHistory(ctx); err != nil {
		return err
	}
	if err := m.enterApp(ctx); err != nil {
		return err
	}
	if err := m.canTake(ctx); err != nil {
		return err
	}
	return m.putMember(ctx)
}

// canTake reads as a take does. A member that cannot is meant for shards that it never takes: it dies, and must not come back before it can.
func (m *member) canTake(ctx context.Context) error {
	for row, err := range m.req.list(ctx, m.keys.shards(), "") {
		if err != nil {
			return err
		}
		_, err = m.req.get(ctx, row.Key)
		return err
	}
	return nil
}

// itself is what this member has to say of itself.
func (m *member) itself() memberRow {
	return memberRow{Worker: m.cfg.Worker, Zone: m.cfg.Zone, ByWeight: m.cfg.ByWeight, Stuck: m.runningStill()}
}

// putMember puts the row that says that this session takes part, or corrects it. Of an operator's word in it nothing is changed. After a conflict the next poll looks again.
func (m *member) putMember(ctx context.Context) error {
	key := m.keys.member(m.s.name)
	rows, err := m.req.get(ctx, key)
	if err != nil {
		return err
	}
	row := memberRow{head: head{key: key}}
	if rows[key].Version != 0 {
		if row, err = decodeMember(rows[key]); err != nil {
			return nil //nolint:nilerr // it is there, which is what counts, and was reported
		}
	}
	own := m.itself()
	if row.says(own) {
		return nil // the listing was an old one
	}
	row.Worker, row.Zone, row.ByWeight, row.Stuck = own.Worker, own.Zone, own.ByWeight, own.Stuck
	err = m.req.put(ctx, row.listed(row.encode()))[0]
	if errors.Is(err, ErrConflict) {
		return nil
	}
	return err
}

// start starts what looks at the others until life ends, and what takes and lists shards until the worker stops.
func (m *member) start(life, listing context.Context) {
	m.completed(&m.acted)
	m.completed(&m.polled)
	m.lookers.Go(func() { m.polls(life) })
	m.lookers.Go(func() { m.kills(life) })
	m.lookers.Go(func() { m.gone.run(life, m.act.poke) })
	m.takers.Go(func() { m.acts(life) })
	m.takers.Go(func() { m.lists(listing) })
}

// errRetired ends a session of which a handler is stuck: the shard cannot be freed, so its owner goes.
var errRetired = errors.New("lease: a handler is stuck")

// fail ends the run of the application with err, after its shards were released.
func (m *member) fail(err error) {
	m.endOnce.Do(func() {
		m.why = err
		close(m.ended)
	})
}

// failure is why the application cannot go on, if it cannot.
func (m *member) failure() error {
	if closed(m.ended) {
		return m.why
	}
	return nil
}

// stop has nothing taken any longer.
func (m *member) stop() {
	m.stopOnce.Do(func() {
		close(m.stopping)
		m.unlist()
	})
	m.act.poke()
	m.list.poke()
}

func (m *member) stopped() bool { return closed(m.stopping) }

// drain wants every shard back, each for the member for which it is meant when this one is gone.
func (m *member) drain() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stop() // with mu held: begin looks at it under the same lock
	others := slices.DeleteFunc(slices.Clone(m.view.team), func(name string) bool { return name == m.s.name })
	target := m.view.targets(others)
	for id, k := range m.works {
		k.lease.drain(target[id])
	}
}

// lose ends every lease of this session.
func (m *member) lose(why error) {
	for _, l := range m.leases() {
		m.end(l, why)
	}
}

// leases are those of this session whose work has not returned, or left a handler behind.
func (m *member) leases() []*Lease {
	m.mu.Lock()
	leases := make([]*Lease, 0, len(m.works))
	for _, k := range m.works {
		if k.lease.session == m.s {
			leases = append(leases, k.lease)
		}
	}
	m.mu.Unlock()
	slices.SortFunc(leases, func(a, b *Lease) int { return strings.Compare(a.shard.ID, b.shard.ID) })
	return leases
}

// end ends a lease that is not over yet.
func (m *member) end(l *Lease, why error) {
	if !l.over.Load() {
		l.lose(why)
		m.log.Warn("lease: lost", "shard", l.shard.ID, "epoch", l.holder.epoch, "cause", why)
	}
}

// leave frees what still names this session although no work runs on it, and removes its rows. It has the time of one request for all of
// it: with a store that does not answer, others find out by themselves.
func (m *member) leave(ctx context.Context) {
	if m.s.over.Load() {
		return
	}
	ctx, cancel := m.req.bounded(ctx)
	defer cancel()
	err := errors.Join(m.freeRest(ctx), m.removeMember(ctx))
	switch {
	case m.left() == nil || planted.Is(planted.LeaveEarly):
		err = errors.Join(err, m.s.leave(ctx))
	case errors.Is(m.failure(), errRetired):
		err = errors.Join(err, m.s.die(ctx))
	}
	if err != nil {
		m.report(fmt.Errorf("lease: leave application %s: %w", m.cfg.App, err))
		return
	}
	m.log.Info("lease: left", "session", m.s.name)
}

func (m *member) removeMember(ctx context.Context) error {
	key := m.keys.member(m.s.name)
	rows, err := m.req.get(ctx, key)
	if err != nil || rows[key].Version == 0 {
		return err
	}
	return m.req.remove(ctx, rows[key])[0]
}
