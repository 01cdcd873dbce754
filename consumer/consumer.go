package consumer

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/lease"
)

// patience is how long Run asks for the stream at its start before it gives up.
const patience = time.Minute

// ErrRunning is what [Consumer.Run] answers while it runs.
var ErrRunning = errors.New("consumer: Run was called while it runs: make another Consumer with New")

// errStreamGone ends the work on a stream that a reader found to be gone.
var errStreamGone = errors.New("consumer: the stream is gone")

// Consumer reads a stream together with the other workers of its name, and hands the records to its handler.
type Consumer struct {
	cfg Config
	log *slog.Logger // names the application

	pool  *pool
	pause pauses

	mu          sync.Mutex
	running     bool
	stream      Stream
	runners     map[*runner]struct{}
	restart     context.CancelCauseFunc
	ending      <-chan struct{}   // of the coordinator that runs: closed when it is to end
	unstored    []error           // of shards that were given up since, and whose last position is not stored
	abandoned   []<-chan struct{} // each closed when a handler that was not waited for has returned
	lastError   error
	lastErrorAt time.Time
}

// New checks cfg and starts nothing. The error joins every fault found, each with its field and the fix.
func New(cfg Config) (*Consumer, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Consumer{cfg: cfg, log: cfg.Logger.With("app", cfg.Name), runners: make(map[*runner]struct{}), pool: newPool(cfg.Order)}, nil
}

// Run is New and [Consumer.Run].
func Run(ctx context.Context, cfg Config) error {
	c, err := New(cfg)
	if err != nil {
		return err
	}
	return c.Run(ctx)
}

// Run consumes until ctx ends. Then it drains: handlers finish what they have, the last positions are stored and the shards are given up, so that
// other workers go on at once and nothing is delivered twice. It always returns: see [Stop].
//
// It returns nil after a clean stop, and otherwise says what it gave up, or what kept it from starting. Before that it ends only for what no retry can mend: a
// stream that is not there, or that was deleted with its records ([ErrNoStream]), credentials that are refused at the start ([ErrDenied], [lease.ErrDenied]), a lease table of
// another shape ([lease.ErrTable]), a name that belongs to another stream ([lease.ErrStream]). A stream that was made anew under its name is read from its
// beginning. One that outlives its name for a while, as that of a deleted DynamoDB table does, is read on, with ErrNoStream told to [Hooks.Error]. Run may be called again after it has returned.
func (c *Consumer) Run(ctx context.Context) error {
	if err := c.begin(); err != nil {
		return err
	}
	defer c.finish()
	if err := c.setUp(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	for fails := 1; ; fails++ {
		st, err := c.identify(ctx)
		if err != nil {
			return errors.Join(err, c.unwritten())
		}
		if ctx.Err() != nil {
			return nil
		}
		if err := c.deliverable(st); err != nil {
			return err
		}
		begun := time.Now()
		again, err := c.consume(ctx, st)
		if !again {
			return err
		}
		if ctx.Err() != nil {
			return c.unwritten() // it was about to begin anew
		}
		c.failed(Failed{Err: err})
		if time.Since(begun) > c.cfg.Failure.MaxBackoff {
			fails = 1
		}
		if err := backoff.Wait(ctx, c.cfg.retries().Delay(fails)); err != nil {
			return nil
		}
	}
}

func (c *Consumer) begin() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.abandoned = slices.DeleteFunc(c.abandoned, func(running <-chan struct{}) bool {
		select {
		case <-running:
			return true
		default:
			return false
		}
	})
	switch {
	case c.running:
		return ErrRunning
	case len(c.abandoned) > 0:
		return fmt.Errorf("consumer: %w: %d of an earlier Run have not returned", lease.ErrRunning, len(c.abandoned))
	}
	c.running, c.unstored = true, nil
	c.pool.open()
	return nil
}

// left notes a handler that was not waited for: no other may begin on its shard in this process until it has returned.
func (c *Consumer) left(running <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.abandoned = append(c.abandoned, running)
}

func (c *Consumer) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running = false
	c.pool.shut()
}

// identify asks which stream has the name now. When ctx ends first, that is an error only if asking had failed before.
func (c *Consumer) identify(ctx context.Context) (st Stream, err error) {
	err = c.patiently(ctx, "ask for the stream", func(ctx context.Context) (err error) {
		st, err = c.cfg.Source.Stream(ctx)
		return err
	})
	if err == nil && ctx.Err() == nil {
		c.mu.Lock()
		c.stream = st
		c.mu.Unlock()
	}
	return st, err
}

// setUp makes or checks the place for letters and that for marks, if they have a method for that.
func (c *Consumer) setUp(ctx context.Context) error {
	for _, part := range []struct {
		field string
		value any
	}{{"Failure.Letters", c.cfg.Failure.Letters}, {"Sink", c.cfg.Sink}} {
		v, ok := part.value.(interface {
			Setup(ctx context.Context) error
		})
		if !ok {
			continue
		}
		if err := c.patiently(ctx, "set up Config."+part.field, v.Setup); err != nil {
			return err
		}
	}
	return nil
}

// patiently tries again for a while what Run cannot begin without. When ctx ends first, that is an error only if an attempt had failed before.
func (c *Consumer) patiently(ctx context.Context, what string, try func(ctx context.Context) error) (err error) {
	deadline := time.Now().Add(patience)
	for fails := 1; ; fails++ {
		failure := try(ctx)
		if ctx.Err() != nil {
			return err
		}
		if failure == nil {
			return nil
		}
		err = fmt.Errorf("consumer: %s: %w", what, failure)
		if errors.Is(err, ErrNoStream) || errors.Is(err, ErrDenied) || time.Now().After(deadline) {
			return err
		}
		c.failed(Failed{Err: err})
		if backoff.Wait(ctx, c.cfg.retries().Delay(fails)) != nil {
			return err
		}
	}
}

// consume works on one incarnation of the stream. It tells whether to ask again which one there is.
func (c *Consumer) consume(ctx context.Context, st Stream) (again bool, err error) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	c.mu.Lock()
	c.restart, c.ending, c.unstored = end, ctx.Done(), nil
	c.mu.Unlock()
	if o := c.cfg.Order; o.By == PerKey && o.Key == nil && !st.KeyOrder {
		c.log.Warn("the stream keeps no order of keys across its shards: PerKey has each in order inside a shard only", "stream", st.Name)
	}
	leases, err := lease.NewCoordinator(c.leases(st))
	if err != nil {
		return false, fmt.Errorf("consumer: %w", err)
	}
	err = errors.Join(leases.Run(ctx), c.unwritten())
	switch cause := context.Cause(ctx); {
	case errors.Is(err, lease.ErrRunning):
		return false, err
	case errors.Is(cause, errStreamGone):
		return true, errors.Join(cause, err)
	}
	return errors.Is(err, lease.ErrIncarnation), err
}

// unwritten joins what the coordinator that ran last could not store at its end.
func (c *Consumer) unwritten() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(c.unstored...)
}

func (c *Consumer) leases(st Stream) lease.Config {
	src := c.cfg.Source
	return lease.Config{
		Store: c.cfg.Leases, App: c.cfg.Name, Worker: c.cfg.Worker,
		Stream: st.Name, Incarnation: st.Incarnation, Start: c.cfg.Start,
		Shards: func(ctx context.Context) iter.Seq2[lease.Shard, error] { return src.Shards(ctx, st) },
		Pin: func(ctx context.Context, at checkpoint.Start) (checkpoint.Start, error) {
			return src.Pin(ctx, st, at)
		},
		Gone: func(ctx context.Context, shard string) (bool, error) { return gone(ctx, src, st, shard) },
		Incarnated: func(ctx context.Context) (string, error) {
			now, err := src.Stream(ctx)
			return now.Incarnation, err
		},
		Work: func(ctx context.Context, l *lease.Lease) <-chan struct{} {
			return newRunner(c, st, l).run(ctx)
		},
		Timing: c.cfg.Timing, Logger: c.cfg.Logger,
		Zone: c.cfg.Balance.Zone, ByWeight: c.cfg.Balance.ByWeight,
		Error: c.leaseFailed,
	}
}

// gone asks the service for a shard that no listing has.
func gone(ctx context.Context, src Source, st Stream, shard string) (bool, error) {
	rd, err := src.Open(ctx, st, Shard{ID: shard}, checkpoint.Start{})
	if errors.Is(err, ErrNoShard) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("consumer: ask for shard %s: %w", shard, err)
	}
	return false, rd.Close()
}

// Held tells whether a source's service still holds records of a shard, for [lease.Reset]: it asks which stream there is now, and opens the shard.
func Held(src Source) func(ctx context.Context, shard string) (bool, error) {
	return func(ctx context.Context, shard string) (bool, error) {
		st, err := src.Stream(ctx)
		if err != nil {
			return false, fmt.Errorf("consumer: ask for the stream: %w", err)
		}
		is, err := gone(ctx, src, st, shard)
		return err == nil && !is, err
	}
}

// streamGone has Run ask again which stream there is.
func (c *Consumer) streamGone(err error) {
	c.mu.Lock()
	end := c.restart
	c.mu.Unlock()
	end(fmt.Errorf("%w: %w", errStreamGone, err))
}
