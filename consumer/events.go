package consumer

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// What happens is logged and told to the hooks here, and nowhere else.

func (c *Consumer) assigned(r *runner) {
	c.mu.Lock()
	c.runners[r] = struct{}{}
	c.mu.Unlock()
	r.pause()
	e := Assigned{Shard: r.lease.Shard().ID, Epoch: r.lease.Epoch(), Start: r.lease.Start()}
	r.log.Info("shard assigned", "start", e.Start.String())
	tell(c, c.cfg.Hooks.Assigned, e)
}

func (c *Consumer) resumed(e Resumed) {
	log := c.log.With("shard", e.Shard, "epoch", e.Epoch, "lease", e.Lease.String(), "sink", e.Sink.String())
	if e.Sink.Before(e.Lease) {
		log.Warn("the sink is behind the lease, what it lacks is applied again")
	} else {
		log.Info("the sink is ahead of the lease")
	}
	tell(c, c.cfg.Hooks.Resumed, e)
}

func (c *Consumer) lost(r *runner, reason Reason, err error) {
	c.mu.Lock()
	delete(c.runners, r)
	c.mu.Unlock()
	watermark, stored := r.progress.positions()
	if err != nil && reason != ReasonAbandoned && (reason == ReasonReleased || reason == ReasonStuck || stored.Before(watermark)) {
		c.notStored(fmt.Errorf("consumer: shard %s was handled up to %q, which may not be stored: %w", r.lease.Shard().ID, watermark, err))
	}
	e := Lost{Shard: r.lease.Shard().ID, Epoch: r.lease.Epoch(), Position: watermark, Reason: reason, Err: err}
	if reason == ReasonStuck {
		r.log.Warn("handler stuck, its shard is given up", "position", watermark.String(), "error", err)
	} else if err == nil {
		r.log.Info("shard given up", "reason", string(reason), "position", watermark.String())
	} else {
		r.log.Warn("shard lost", "reason", string(reason), "position", watermark.String(), "error", err)
	}
	tell(c, c.cfg.Hooks.Lost, e)
}

// notStored keeps what Run has to say at its end.
func (c *Consumer) notStored(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.ending:
		c.unstored = append(c.unstored, err)
	default: // while it runs, a shard that is lost is taken again by somebody
	}
}

func (c *Consumer) page(e PageRead) { tell(c, c.cfg.Hooks.Page, e) }

func (c *Consumer) handled(e Handled) { tell(c, c.cfg.Hooks.Handled, e) }

func (c *Consumer) checkpointed(e Checkpointed) { tell(c, c.cfg.Hooks.Checkpointed, e) }

func (c *Consumer) retried(e Retried) {
	c.remember(e.Err)
	log := c.log.With("shard", e.Shard, "position", e.Position.String(), "key", e.Key, "attempt", e.Attempt, "wait", e.Wait)
	var p *PanicError
	if errors.As(e.Err, &p) && e.Attempt == 1 {
		log = log.With("stack", string(p.Stack))
	}
	if e.Exhausted != "" {
		log = log.With("exhausted", e.Exhausted)
	}
	log.Warn("handler failed, its records wait", "error", e.Err)
	tell(c, c.cfg.Hooks.Retried, e)
}

func (c *Consumer) givenUp(e GivenUp) {
	log := c.log.With("shard", e.Shard, "position", e.Position.String(), "key", e.Key)
	if e.Err == nil { // one of many
		log.Debug("record followed its parked key", "letter", e.Letter)
	} else {
		c.remember(e.Err)
		log.Warn("record given up", "reason", string(e.Reason), "then", e.Then.String(), "attempts", e.Attempts, "letter", e.Letter, "error", e.Err)
	}
	tell(c, c.cfg.Hooks.GivenUp, e)
}

func (c *Consumer) full(e Full) {
	c.log.Warn("reading stopped behind a record that is not done", "shard", e.Shard, "position", e.Position.String(), "key", e.Key, "since", e.Since, "records", e.Records)
	tell(c, c.cfg.Hooks.Full, e)
}

func (c *Consumer) overdue(e Overdue) {
	c.log.Warn("handler ignores the end of its context, its call is given up", "shard", e.Shard, "position", e.Position.String(), "key", e.Key, "records", e.Records, "lasts", e.Lasts)
	tell(c, c.cfg.Hooks.Overdue, e)
}

func (c *Consumer) gap(e Gap) {
	c.remember(e.Err)
	c.log.Warn("records were gone before they were read", "shard", e.Shard, "after", e.After.String(),
		"skipped", e.Skipped, "error", e.Err)
	tell(c, c.cfg.Hooks.Gap, e)
}

// leaseFailed tells of what the coordinator of the leases has logged.
func (c *Consumer) leaseFailed(err error) {
	c.remember(err)
	tell(c, c.cfg.Hooks.Error, Failed{Err: err})
}

func (c *Consumer) failed(e Failed) {
	c.remember(e.Err)
	log := c.log
	if e.Shard != "" {
		log = log.With("shard", e.Shard)
	}
	log.Warn("failed, will be tried again", "error", e.Err)
	tell(c, c.cfg.Hooks.Error, e)
}

func (c *Consumer) remember(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastError, c.lastErrorAt = err, time.Now()
}

// tell calls a hook, which may be nil, and survives its panic.
func tell[E any](c *Consumer, hook func(E), e E) {
	if hook == nil {
		return
	}
	defer func() {
		if v := recover(); v != nil {
			err := fmt.Errorf("consumer: the hook for %T panicked: %v\n%s", e, v, debug.Stack())
			c.remember(err)
			c.log.Error("hook panicked", "error", err)
		}
	}()
	hook(e)
}
