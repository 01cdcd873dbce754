package lease

import (
	"context"
	"errors"

	"github.com/runnelhq/runnel/internal/ground"
)

// Causes with which the context of a shard's work ends, errors of a [Lease], and errors of [Coordinator.Run].
var (
	ErrLost        = errors.New("lease: lost") // another worker owns the shard, or may
	ErrStream      = errors.New("lease: the name belongs to another stream")
	ErrRow         = errors.New("lease: corrupt row")          // a row that this package did not write, or cannot read
	ErrRunning     = errors.New("lease: a handler still runs") // wrapped by Run's error that names the shards whose work did not return
	ErrIncarnation = errors.New("lease: another incarnation")  // the stream of that name was made anew, or enabled anew
)

// Shard is one shard of a stream, as a source lists it.
type Shard struct {
	ID      string
	Parents []string // none, one, or the two of a merge; they may be gone from the service
	Closed  bool     // no record will be added
	Meta    string   // what the source wants kept with the lease; small
}

// Coordinator holds one application's leases for one worker.
type Coordinator struct{ cfg Config }

// NewCoordinator checks cfg and starts nothing. The error joins every fault found.
func NewCoordinator(cfg Config) (*Coordinator, error) {
	cfg = cfg.withDefaults()
	if err := cfg.faults(); err != nil {
		return nil, err
	}
	return &Coordinator{cfg}, nil
}

// Run joins the application, takes shards and has them worked on, until ctx ends. Then it drains: it closes [Lease.Draining] of every
// lease, waits until each Work has returned – Work sees to it that this is soon – and leaves the application. With a store that does
// not answer it leaves without saying so, after the limit of one request.
//
// A session that is over – the worker was cut off for longer than Timing.Expiry – is followed by a new one; what the old one had is lost.
//
// It returns nil after a clean stop; an error that wraps [ErrRunning] and names the shards of which a handler still runs; [ErrStream];
// [ErrIncarnation]; [ErrRow] about the application's own row; or the failure of Setup, which is not retried for ever.
func (c *Coordinator) Run(ctx context.Context) error {
	return newWorker(c.cfg, clock{ground.From(ctx)}).run(ctx)
}
