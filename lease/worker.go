package lease

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/internal/ground"
	"github.com/runnelhq/runnel/internal/planted"
)

// worker is one run of a [Coordinator], across the sessions that it has one after another.
type worker struct {
	cfg   Config
	req   requests
	keys  keys
	clock clock
	log   *slog.Logger
	gone  *inquiry

	working ground.Group // calls of Work

	mu    sync.Mutex
	works map[string]*work // by shard: at most one call of Work, of whatever session
	holds map[string]hold

	accepted string // the store's history in the application's row as last seen, of whatever session
}

// work is one call of Config.Work.
type work struct {
	lease    *Lease
	began    time.Duration
	returned bool
	running  <-chan struct{} // after it returned: closed when its last handler has
}

// hold keeps this worker from a shard whose work returned although it had neither ended nor been lost, so that it does not spin.
type hold struct {
	times int
	until time.Duration
}

// setupPatience is how long a Setup that fails is repeated: a table takes its time to be made.
const setupPatience = time.Minute

func newWorker(cfg Config, c clock) *worker {
	w := &worker{
		cfg: cfg, keys: keys{cfg.App, cfg.Incarnation}, clock: c, working: c.Group(),
		log:   cfg.Logger.With("app", cfg.App),
		works: make(map[string]*work), holds: make(map[string]hold),
	}
	w.req = requests{cfg.Store, cfg.Timing.Request, c, w.keys.groups()}
	w.gone = newInquiry(cfg.Gone, cfg.Timing.List, w.clock, w.report)
	return w
}

// report tells of an error that is being retried.
func (w *worker) report(err error) {
	w.log.Warn("lease: failed", "error", err)
	w.cfg.Error(err)
}

func (w *worker) retries() backoff.Policy {
	return backoff.Policy{Base: w.cfg.Timing.Poll / 20, Cap: w.cfg.Timing.Poll}
}

// run has one session after another until ctx ends or the application cannot go on.
func (w *worker) run(ctx context.Context) error {
	if err := w.setup(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	for {
		over, err := w.serve(ctx)
		if over {
			w.log.Warn("lease: the session is over, joining anew")
			continue
		}
		return errors.Join(err, w.left())
	}
}

// setup makes or checks the storage. When ctx ends first, that is an error only if an attempt had failed before.
func (w *worker) setup(ctx context.Context) (err error) {
	deadline := w.clock.mono() + setupPatience
	for fails := 1; ; fails++ {
		limited, cancel := w.clock.Limit(ctx, setupPatience, context.DeadlineExceeded)
		failure := w.cfg.Store.Setup(limited)
		cancel()
		if ctx.Err() != nil {
			return err
		}
		if failure == nil {
			return nil
		}
		err = fmt.Errorf("lease: set up the store: %w", failure)
		if errors.Is(err, ErrTable) || errors.Is(err, ErrDenied) || w.clock.mono() >= deadline {
			return err
		}
		w.report(err)
		if w.clock.rest(ctx, w.retries(), fails) != nil {
			return err
		}
	}
}

// busy tells whether work of this process runs on a shard. To be called with mu held.
func (w *worker) busy(id string) bool {
	k := w.works[id]
	if k == nil {
		return false
	}
	if !k.returned {
		return true
	}
	if closed(k.running) || planted.Is(planted.RunningFreed) {
		delete(w.works, id)
		return false
	}
	return true
}

// runningStill is the shards whose work has returned and left a handler behind that has not.
func (w *worker) runningStill() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var ids []string
	for id, k := range w.works {
		if k.returned && w.busy(id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// left names the shards whose handlers still run. To be called when all work has returned.
func (w *worker) left() error {
	ids := w.runningStill()
	if len(ids) == 0 {
		return nil
	}
	return fmt.Errorf("%w: shards %s are left to expire with the session", ErrRunning, strings.Join(ids, ", "))
}
