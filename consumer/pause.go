package consumer

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// pauses are what a consumer was asked to leave alone.
type pauses struct {
	mu     sync.Mutex
	all    bool
	shards map[string]bool // true: paused; false: resumed while all are paused
}

// tell says whether a shard is paused, with the lock held: what it says last is what holds.
func (p *pauses) tell(shard string, paused *atomic.Bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	is, said := p.shards[shard]
	paused.Store(is || p.all && !said)
}

func (p *pauses) set(paused bool, shards []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(shards) == 0 {
		p.all, p.shards = paused, nil
	}
	for _, s := range shards {
		note(&p.shards, s, paused)
	}
}

// Pause has this worker hand out nothing more of the shards, or of all if none is named, and read nothing more of them, until [Consumer.Resume]. Calls under way go on and positions are stored. The worker
// keeps its shards; it takes and gives up shards as ever, and a shard that another worker gets is not paused there: for that see lease.Operator.
func (c *Consumer) Pause(shards ...string) { c.setPaused(true, shards) }

// Resume ends a pause, of the shards or of all.
func (c *Consumer) Resume(shards ...string) { c.setPaused(false, shards) }

func (c *Consumer) setPaused(paused bool, shards []string) {
	c.pause.set(paused, shards)
	c.mu.Lock()
	runners := make([]*runner, 0, len(c.runners))
	for r := range c.runners {
		runners = append(runners, r)
	}
	c.mu.Unlock()
	for _, r := range runners {
		r.pause()
	}
}

// pause looks whether the shard is paused now.
func (r *runner) pause() {
	r.c.pause.tell(r.lease.Shard().ID, &r.paused)
	signal(r.resume)
	if w := r.window.Load(); w != nil {
		signal(w.changed)
	}
}

// resumed waits while nothing shall be read: for the end of a pause, or for the breaker.
func (r *runner) resumed(ctx context.Context) error {
	b := r.cfg().Flow.Breaker
	for {
		open := b != nil && b.Open()
		if !open && !r.paused.Load() {
			return nil
		}
		var later <-chan time.Time
		if open {
			later = time.After(max(r.cfg().Failure.Backoff, 100*time.Millisecond)) // of each shard
		}
		select {
		case <-r.resume:
		case <-later:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
