// Package ground is what a shell of the protocol stands on: its clocks, its waits, its goroutines and its dice. A program stands on the real
// ones; the simulator hands in others, on which the same code runs in virtual time, one step after the other, and a seed repeats a run exactly.
//
// Code that stands on a ground touches none of these otherwise: it reads no clock, starts no goroutine, and waits for nothing but through it. What
// it locks it holds for no wait. Where it ranges over a map and the order can be seen from outside, it sorts.
package ground

import (
	"context"
	crand "crypto/rand"
	"math/rand/v2"
	"sync"
	"time"
)

// Instant is a moment on the two clocks of a host. The monotonic clock never jumps, but stands still on Linux while a virtual machine is
// suspended; the wall clock goes on and may jump.
type Instant struct {
	Mono time.Duration // since some moment of this host's
	Wall time.Duration // since 1970
}

// Age is how long before now i was, on the clock that says more.
func (i Instant) Age(now Instant) time.Duration { return max(now.Mono-i.Mono, now.Wall-i.Wall) }

// Forever is a wait that only something else ends.
const Forever = time.Duration(1<<63 - 1)

// Clocks are those of a host.
type Clocks interface {
	// Now looks at both.
	Now() Instant
	// At is the instant at which time.Now gave t.
	At(t time.Time) Instant
}

// Dice are a process's chance.
type Dice interface {
	// Upto is a random duration from 0 to d.
	Upto(d time.Duration) time.Duration
	// Fill makes random bytes that no other process has.
	Fill(b []byte)
}

// Ground is the clocks, waits, goroutines and dice of one process.
type Ground interface {
	Clocks
	Dice
	// Wait returns nil when d has passed or something came from one of until, and the cause when ctx has ended.
	Wait(ctx context.Context, d time.Duration, until ...<-chan struct{}) error
	// Limit is ctx for d at most; then it ends with cause.
	Limit(ctx context.Context, d time.Duration, cause error) (context.Context, context.CancelFunc)
	// After calls f when d has passed. f must not wait.
	After(d time.Duration, f func()) Timer
	// Group makes a group of goroutines that can be waited for.
	Group() Group
}

// Timer is what [Ground.After] started: Stop keeps it from firing, Reset has it fire d from now.
type Timer interface {
	Stop() bool
	Reset(d time.Duration) bool
}

// Group is goroutines that are waited for together.
type Group interface {
	Go(f func())
	Wait()
}

// Jitter lengthens d by up to a tenth, so that workers started together do not stay in step.
func Jitter(g Ground, d time.Duration) time.Duration { return d + g.Upto(d/10) }

type key struct{}

// With has what is started under the context stand on g.
func With(ctx context.Context, g Ground) context.Context { return context.WithValue(ctx, key{}, g) }

// From is the ground of a context: the real one unless another was handed in.
func From(ctx context.Context) Ground {
	if g, ok := ctx.Value(key{}).(Ground); ok {
		return g
	}
	return Real()
}

// program is the ground of a program. Its monotonic clock counts from began.
type program struct{ began time.Time }

// Real is the ground of a program.
func Real() Ground { return program{time.Now()} }

func (p program) Now() Instant { return p.At(time.Now()) }

func (p program) At(t time.Time) Instant { return Instant{t.Sub(p.began), time.Duration(t.UnixNano())} }

func (program) Wait(ctx context.Context, d time.Duration, until ...<-chan struct{}) error {
	var first, second <-chan struct{} // as many as anybody waits for
	switch len(until) {
	case 0:
	case 1:
		first = until[0]
	case 2:
		first, second = until[0], until[1]
	default:
		panic("ground: a wait for more than two channels")
	}
	t := time.NewTimer(max(d, 0))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-first:
		return nil
	case <-second:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (program) Limit(ctx context.Context, d time.Duration, cause error) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, cause)
}

func (program) After(d time.Duration, f func()) Timer { return time.AfterFunc(d, f) }

func (program) Group() Group { return new(sync.WaitGroup) }

func (program) Upto(d time.Duration) time.Duration { return rand.N(d + 1) }

func (program) Fill(b []byte) { _, _ = crand.Read(b) } // never fails
