package sim

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/runnelhq/runnel/internal/ground"
)

// Now looks at the clocks of the host.
func (p *process) Now() ground.Instant {
	return ground.Instant{Mono: p.mono(), Wall: p.h.wallAt(p.w.now)}
}

// At is the instant at which the wall clock showed t.
func (p *process) At(t time.Time) ground.Instant {
	now := p.Now()
	wall := time.Duration(t.UnixNano())
	return ground.Instant{Mono: now.Mono - (now.Wall - wall), Wall: wall}
}

// parking begins a wait of the task that runs. A process that was killed waits for nothing: it unwinds.
func (p *process) parking() *task {
	if p.dead {
		panic(errKilled)
	}
	t := p.w.current
	t.gen++
	t.deadline = ground.Forever
	return t
}

// Wait parks the task that runs.
func (p *process) Wait(ctx context.Context, d time.Duration, until ...<-chan struct{}) error {
	t := p.parking()
	t.ctx = ctx
	copy(t.until[:], until)
	if mono := p.mono(); d < ground.Forever-mono {
		t.deadline = mono + max(d, 0)
		p.alarm(t)
	}
	return t.park()
}

// await parks the task that runs until done, or until ctx ends.
func (p *process) await(ctx context.Context, done *bool) error {
	t := p.parking()
	t.ctx, t.flag = ctx, done
	return t.park()
}

// Limit ends ctx after d of virtual time.
func (p *process) Limit(ctx context.Context, d time.Duration, cause error) (context.Context, context.CancelFunc) {
	limited, cancel := context.WithCancelCause(ctx)
	t := p.After(d, func() { cancel(cause) })
	return limited, func() {
		t.Stop()
		cancel(context.Canceled)
	}
}

// timer is a [ground.Timer]. gen counts its settings.
type timer struct {
	p   *process
	f   func()
	at  time.Duration
	gen uint64
	set bool
}

// After calls f on the host's monotonic clock.
func (p *process) After(d time.Duration, f func()) ground.Timer {
	t := &timer{p: p, f: f}
	t.Reset(d)
	return t
}

func (t *timer) Stop() bool {
	was := t.set
	t.set = false
	t.gen++
	return was
}

func (t *timer) Reset(d time.Duration) bool {
	was := t.Stop()
	t.set, t.at = true, t.p.mono()+max(d, 0)
	t.arm()
	return was
}

func (t *timer) arm() {
	gen := t.gen
	t.p.w.at(t.p.h.reaches(t.at), func() { t.fire(gen) })
}

func (t *timer) fire(gen uint64) {
	switch {
	case gen != t.gen || t.p.dead:
	case t.p.paused:
		t.p.deferred = append(t.p.deferred, func() { t.fire(gen) })
	case t.at > t.p.mono():
		t.arm()
	default:
		t.set = false
		t.gen++
		t.f()
		t.p.schedule()
	}
}

// group is a [ground.Group].
type group struct {
	p       *process
	running int
}

func (p *process) Group() ground.Group { return &group{p: p} }

func (g *group) Go(f func()) {
	g.running++
	g.p.start(func() {
		defer func() { g.running-- }()
		f()
	})
}

func (g *group) Wait() {
	t := g.p.parking()
	t.group = g
	_ = t.park()
}

// Upto throws the dice of the process.
func (p *process) Upto(d time.Duration) time.Duration {
	return time.Duration(p.dice.Int64N(int64(d) + 1))
}

// Fill makes bytes of the dice: with a seed of its own each process has others.
func (p *process) Fill(b []byte) {
	var word [8]byte
	for len(b) > 0 {
		binary.LittleEndian.PutUint64(word[:], p.dice.Uint64())
		b = b[copy(b, word[:]):]
	}
}
