package lease

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// inquiry asks the service whether it still knows parents that have no row, one at a time, so that no other shard waits for the answer. What is
// gone stays gone; about the others it asks again after a while. Its queue holds shards of rows, each once.
type inquiry struct {
	ask    func(ctx context.Context, shard string) (bool, error)
	again  time.Duration
	clock  clock
	report func(error)
	asked  wake

	mu    sync.Mutex
	queue []string
	facts map[string]fact
}

type fact struct {
	gone, queued bool
	until        time.Duration // when to ask again
}

func newInquiry(ask func(context.Context, string) (bool, error), again time.Duration, c clock, report func(error)) *inquiry {
	return &inquiry{ask: ask, again: again, clock: c, report: report, asked: newWake(), facts: make(map[string]fact)}
}

// gone tells whether the service no longer knows a shard. It is false while that is not known; then it is asked.
func (q *inquiry) gone(id string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	f := q.facts[id]
	if !f.gone && !f.queued && q.clock.mono() >= f.until {
		f.queued = true
		q.facts[id] = f
		q.queue = append(q.queue, id)
		q.asked.poke()
	}
	return f.gone
}

// run asks until ctx ends, and calls found when something is gone.
func (q *inquiry) run(ctx context.Context, found func()) {
	for {
		id, ok := q.next()
		if !ok {
			if q.clock.Wait(ctx, q.again, q.asked) != nil {
				return
			}
			continue
		}
		gone, err := q.askOne(ctx, id)
		if ctx.Err() != nil {
			q.answer(id, fact{})
			return
		}
		if err != nil {
			q.report(fmt.Errorf("lease: ask whether shard %s is gone: %w", id, err))
		}
		q.answer(id, fact{gone: gone && err == nil, until: q.clock.mono() + q.again})
		if gone && err == nil {
			found()
		}
	}
}

// askLimit bounds one question to the service.
const askLimit = 30 * time.Second

func (q *inquiry) askOne(ctx context.Context, id string) (bool, error) {
	ctx, cancel := q.clock.Limit(ctx, askLimit, context.DeadlineExceeded)
	defer cancel()
	return q.ask(ctx, id)
}

func (q *inquiry) next() (string, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue) == 0 {
		return "", false
	}
	id := q.queue[0]
	q.queue = q.queue[1:]
	return id, true
}

func (q *inquiry) answer(id string, f fact) {
	q.mu.Lock()
	q.facts[id] = f
	q.mu.Unlock()
}
