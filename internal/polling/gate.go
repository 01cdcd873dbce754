package polling

import (
	"context"
	"sync"
	"time"

	"github.com/runnelhq/runnel/internal/backoff"
)

// Gate spaces calls: no two pass within Every. It is safe for concurrent use.
type Gate struct {
	Every time.Duration

	mu   sync.Mutex
	next time.Time // the moment of the first place not yet given away
}

// Wait takes the next place and waits for it, or returns the cause of ctx's end. A place that was not waited for stays empty.
func (g *Gate) Wait(ctx context.Context) error {
	g.mu.Lock()
	at := time.Now()
	if at.Before(g.next) {
		at = g.next
	}
	g.next = at.Add(g.Every)
	g.mu.Unlock()
	return backoff.Wait(ctx, time.Until(at))
}
