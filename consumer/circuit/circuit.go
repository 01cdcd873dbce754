package circuit

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/lease"
)

// probing is how long a caller waits before it asks a half-open breaker again that has given all its permits. Nobody knows when a probe ends.
const probing = 100 * time.Millisecond

// New makes cb the breaker of a consumer. R is of no account: what is recorded are errors, with the zero R for a result.
//
// While cb is open, Permit returns the rest of its delay; while it is half-open and its permits are given, 100 ms. cb's listeners are called by Permit and Record.
func New[R any](cb circuitbreaker.CircuitBreaker[R]) consumer.Breaker { return &breaker{cb: cb} }

type breaker struct {
	cb circuit

	mu     sync.Mutex // not held while cb is called: its listeners may call the breaker
	probes int        // calls granted half-open and not recorded. At most as many as calls granted and not recorded, so that it falls to 0 with them
}

// circuit is what is used of a circuitbreaker.CircuitBreaker, of any R.
type circuit interface {
	TryAcquirePermit() bool
	RemainingDelay() time.Duration
	State() circuitbreaker.State
	RecordError(err error)
	RecordSuccess()
	RecordFailure()
}

func (b *breaker) Permit() (wait time.Duration) {
	if b.cb.TryAcquirePermit() {
		b.probed(1)
		return 0
	}
	if rest := b.cb.RemainingDelay(); rest > 0 {
		return rest
	}
	return probing
}

func (b *breaker) Record(err error) {
	defer b.probed(-1)
	switch {
	case err == nil:
		b.cb.RecordSuccess() // not RecordError: a condition that counts every error but some would count nil
	case !tellsNothing(err):
		b.cb.RecordError(err)
	case b.cb.State() == circuitbreaker.HalfOpenState:
		b.cb.RecordFailure() // the only way to give the permit back, but for a success that nobody has seen
	}
}

// Open is false as soon as the delay is over, and half-open unless a probe is on its way, though cb itself stays open until it is asked for a permit: a consumer with no record in hand must read one to
// have something to ask for, or it would never read again.
func (b *breaker) Open() bool {
	switch b.cb.State() {
	case circuitbreaker.OpenState:
		return b.cb.RemainingDelay() > 0
	case circuitbreaker.HalfOpenState:
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.probes > 0
	default:
		return false
	}
}

// probed counts a call that was granted, or recorded. Which calls were granted half-open is not told to Record: one of an earlier state may be taken for a probe, which lets the consumer read a little early.
func (b *breaker) probed(calls int) {
	halfOpen := b.cb.State() == circuitbreaker.HalfOpenState
	b.mu.Lock()
	defer b.mu.Unlock()
	if halfOpen {
		b.probes = max(b.probes+calls, 0)
	} else {
		b.probes = 0
	}
}

// tellsNothing is whether err says only that the consumer gave the call up.
func tellsNothing(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, consumer.ErrDrain) || errors.Is(err, lease.ErrLost)
}
