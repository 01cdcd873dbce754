package lease

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/internal/planted"
)

var (
	errOver    = errors.New("lease: the session is over")
	errLapsed  = errors.New("lease: no heartbeat was acknowledged in time")
	errUnknown = errors.New("lease: the outcome of a write is not known")
)

// session is one start of a process in one store: a row with a heartbeat. It serves all applications that the process takes part in.
type session struct {
	name   string
	req    requests
	out    *outbox
	timing Timing
	clock  clock
	report func(error)
	// steady tells whether this worker does its part. Only then it heartbeats: one that takes nothing must die.
	steady func(now time.Duration) bool
	// confirm is asked after a heartbeat was acknowledged, and before it counts.
	confirm func(ctx context.Context) error

	since atomic.Pointer[instant] // first sending of the last acknowledged heartbeat
	over  atomic.Bool
	beat  wake // heartbeat now
	acked wake // a heartbeat was acknowledged

	mu       sync.Mutex
	draining bool

	row   sessionRow // as last known to be stored; run's, and before and after it join's and leave's
	beats beats
}

// sessionApp is where a session's row says of which application it is: that one's workers remove it when it is dead.
const sessionApp = "app"

// newSession makes a name of harmless bytes: it is part of keys.
func newSession(app, worker string, req requests, t Timing, c clock) *session {
	var random [16]byte
	c.Fill(random[:])
	name := url.PathEscape(worker) + "-" + hex.EncodeToString(random[:])
	return &session{
		name: name, req: req, out: &outbox{req: req}, timing: t, clock: c, beat: newWake(), acked: newWake(),
		row: sessionRow{
			head: head{key: sessionKey(name)}, State: alive, Expiry: t.Expiry.Milliseconds(),
			Meta: appendJSON(nil, map[string]string{sessionApp: app, "worker": worker, "started": time.Unix(0, int64(c.Now().Wall)).UTC().Format(time.RFC3339)}),
		},
	}
}

// valid tells whether this session's worker may act. It does no I/O.
func (s *session) valid() bool { return s.validAt(s.clock.Now()) }

func (s *session) validAt(now instant) bool {
	since := s.since.Load()
	if since != nil && planted.Is(planted.OneClock) {
		return !s.over.Load() && now.Mono-since.Mono < s.timing.own()
	}
	if since != nil && planted.Is(planted.WallClock) {
		return !s.over.Load() && now.Wall-since.Wall < s.timing.own()
	}
	return since != nil && !s.over.Load() && since.Age(now) < s.timing.own()
}

// drain has the next heartbeat say that the session takes no more, and sends it at once.
func (s *session) drain() {
	s.mu.Lock()
	s.draining = true
	s.mu.Unlock()
	s.beat.poke()
}

func (s *session) retries() backoff.Policy {
	return backoff.Policy{Base: s.timing.Heartbeat / 20, Cap: s.timing.Heartbeat / 2}
}

// join puts the row, retrying until ctx ends. The session is not valid yet: a delayed duplicate of this write may revive the row after
// it was removed. Only a heartbeat that is acknowledged makes it valid.
func (s *session) join(ctx context.Context) error {
	for fails := 1; ; fails++ {
		s.row.version = 0
		next := beaten(s.row, s.beats.send(s.clock.Now()), false)
		err := s.req.put(ctx, next.listed(next.encode()))[0]
		stored, lookErr := s.look(ctx) // for its cursor, or for what became of the write
		switch {
		case lookErr == nil && stored.version != 0 && !s.beats.mine(stored):
			return errOver // it took so long that others declared it dead
		case lookErr == nil && stored.version != 0:
			s.row = stored
			if since, known := s.beats.ack(stored.HB); known && planted.Is(planted.TakeUnheard) {
				s.since.Store(&since)
			}
			return nil
		case lookErr == nil && err == nil:
			return errOver // it was there and is gone
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		s.report(fmt.Errorf("join as %s: %w", s.name, errors.Join(err, lookErr)))
		if err := s.clock.rest(ctx, s.retries(), fails); err != nil {
			return err
		}
	}
}

// look reads the row consistently.
func (s *session) look(ctx context.Context) (sessionRow, error) {
	rows, err := s.req.get(ctx, s.row.key)
	if err != nil {
		return sessionRow{}, err
	}
	row := rows[s.row.key]
	if row.Version == 0 {
		return sessionRow{head: headOf(row)}, nil
	}
	return decodeSession(row)
}

// run heartbeats until ctx ends or the session is over, which is errOver.
func (s *session) run(ctx context.Context) error {
	fails := 0
	for {
		wait := s.clock.jitter(s.timing.Heartbeat)
		if s.steady(s.clock.mono()) {
			err := s.send(ctx)
			switch {
			case errors.Is(err, errOver):
				s.over.Store(true)
				return err
			case ctx.Err() != nil:
				return context.Cause(ctx)
			case err != nil:
				fails++
				s.report(fmt.Errorf("heartbeat of %s: %w", s.name, err))
				wait = s.clock.delay(s.retries(), fails)
			default:
				fails = 0
			}
		} else {
			wait = s.timing.Heartbeat / 4
		}
		if err := s.clock.Wait(ctx, wait, s.beat); err != nil {
			return err
		}
	}
}

// send sends one heartbeat. A write that fails, in whatever way, is resolved by a read that is sent after it.
func (s *session) send(ctx context.Context) error {
	s.mu.Lock()
	draining := s.draining
	s.mu.Unlock()
	next := beaten(s.row, s.beats.send(s.clock.Now()), draining)
	err := s.req.put(ctx, next.quietly(next.encode()))[0]
	if err == nil {
		next.version++
		s.row = next
		return s.acknowledge(ctx, next)
	}
	stored, lookErr := s.look(ctx)
	switch {
	case errors.Is(lookErr, ErrRow):
		return fmt.Errorf("%w: %w", errOver, lookErr)
	case lookErr != nil:
		return errors.Join(err, lookErr)
	case !s.beats.mine(stored):
		return errOver
	}
	moved := stored.HB > s.beats.acked
	s.row = stored
	if err := s.acknowledge(ctx, stored); err != nil {
		return err
	}
	if moved && stored.HB == s.beats.sent {
		return nil
	}
	return err
}

// acknowledge notes that a heartbeat of this session is stored, if that counts.
func (s *session) acknowledge(ctx context.Context, stored sessionRow) error {
	if err := s.confirm(ctx); err != nil {
		return err
	}
	if since, known := s.beats.ack(stored.HB); known {
		if planted.Is(planted.LastSending) {
			since = s.clock.Now()
		}
		s.since.Store(&since)
		s.acked.poke()
	}
	return nil
}

// watch calls lapsed each time the session stops being valid, until ctx ends. The wall clock may jump, so it looks at least once a heartbeat.
func (s *session) watch(ctx context.Context, lapsed func()) {
	was := false
	for {
		is := s.valid()
		if was && !is {
			lapsed()
		}
		was = is
		wait := s.timing.Heartbeat
		if since := s.since.Load(); is && since != nil {
			wait = min(wait, max(s.timing.own()-since.Age(s.clock.Now()), time.Millisecond))
		}
		if s.clock.Wait(ctx, wait) != nil {
			return
		}
	}
}

// leave removes the row: whoever finds it later sees it stand still. To be called when run has returned and no handler runs any longer.
func (s *session) leave(ctx context.Context) error {
	return s.finish(ctx, func(r sessionRow) error { return s.req.remove(ctx, Row{Key: r.key, Version: r.version})[0] })
}

// die marks the row as dead, so that others take at once what it has. To be called when run has returned.
func (s *session) die(ctx context.Context) error {
	return s.finish(ctx, func(r sessionRow) error {
		next, _ := killed(r, r.HB)
		return s.req.put(ctx, next.listed(next.encode()))[0]
	})
}

// finish writes to the row for the last time, and once more if the first time it was not as known.
func (s *session) finish(ctx context.Context, write func(sessionRow) error) error {
	s.over.Store(true)
	err := write(s.row)
	if err == nil {
		return nil
	}
	stored, lookErr := s.look(ctx)
	if lookErr != nil {
		return errors.Join(err, lookErr)
	}
	if stored.version == 0 || stored.State == dead {
		return nil
	}
	return write(stored)
}
