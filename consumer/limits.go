package consumer

import (
	"context"
	"time"
)

// Limiter holds calls of the handler back.
type Limiter interface {
	// Wait waits until a call with so many records may be made. It returns an error, the call is then not made and asked for again later, when ctx ends or it can never be.
	Wait(ctx context.Context, records int) error
}

// Breaker stops calls while what the handler depends on is gone. While it is open the consumer makes no calls and reads nothing; what waits keeps its attempts.
type Breaker interface {
	// Permit asks for a call. 0 grants it, and each call that was granted is followed by one Record; otherwise it says how long to wait before it is asked again.
	Permit() (wait time.Duration)
	// Record tells how a permitted call ended: nil, or why it failed.
	Record(err error)
	// Open tells whether calls are stopped now, a probe that is being waited for included. It is false as soon as a probe may be made: while it is true nothing is read, and a shard without a record could
	// never make one.
	Open() bool
}
