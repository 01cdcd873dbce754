package consumer

import (
	"sync"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
)

// progress is how far one shard is done and stored. The window moves it forward and the shift has it stored.
type progress struct {
	strategy checkpoint.Strategy
	window   int // of the strategy; 0: none
	ask      *asked

	mu        sync.Mutex
	watermark checkpoint.Position // everything up to here is done
	stored    checkpoint.Position
	pending   checkpoint.Progress // done, and not covered by a write that has begun; Age is not kept up
	since     time.Time           // when the first of pending was done
	planned   time.Duration       // how long the strategy would have pending wait from its beginning, when it was last asked
	writing   int                 // records that the write under way covers
	waiting   bool                // workers wait for a write: it is due whatever the strategy says

	due chan struct{} // holds one token: the shift should look
}

func newProgress(s checkpoint.Strategy, at checkpoint.Position, ask *asked) *progress {
	return &progress{
		strategy: s, window: checkpoint.Window(s), ask: ask,
		watermark: at, stored: at,
		due: make(chan struct{}, 1),
	}
}

// done says that the watermark is at p, which is never below where it was, and that so many records more are done, up to there or behind it. A position that moves without records counts as one, so that it is stored too.
func (g *progress) done(p checkpoint.Position, records int, bytes int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.watermark != p {
		g.watermark = p
		records = max(1, records)
	}
	if records == 0 {
		return
	}
	first := g.pending.Records == 0
	if first {
		g.since = time.Now()
	}
	g.pending.Records += records
	g.pending.Bytes += bytes
	wait := g.wait(g.since)
	if first || wait < g.planned {
		signal(g.due)
	}
	g.planned = wait
}

// wait is how long until a write is due at now. Called with the lock held.
func (g *progress) wait(now time.Time) time.Duration {
	if g.pending.Records == 0 {
		return checkpoint.Never
	}
	if wanted := g.ask.position(); g.waiting || g.stored.Before(wanted) && !g.watermark.Before(wanted) {
		return 0
	}
	p := g.pending
	p.Age = now.Sub(g.since)
	return g.strategy.Due(p)
}

// begin starts a write if one is due, of what is done from now on too, and otherwise says how long until one is.
func (g *progress) begin(now time.Time) (records int, wait time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if wait = g.wait(now); wait > 0 {
		return 0, wait
	}
	g.writing, g.pending = g.pending.Records, checkpoint.Progress{}
	return g.writing, 0
}

// end says that the write of p has ended well.
func (g *progress) end(p checkpoint.Position) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stored, g.writing, g.waiting = p, 0, false
}

// open tells whether another record may be handed out: whether fewer than the window are done and not stored. Otherwise it makes a write due.
func (g *progress) open() bool {
	if g.window == 0 {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.pending.Records+g.writing < g.window {
		return true
	}
	if g.pending.Records > 0 {
		g.waiting = true
		signal(g.due)
	}
	return false
}

// rest is how many records that are done no write is known to cover.
func (g *progress) rest() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.pending.Records + g.writing
}

func (g *progress) positions() (watermark, stored checkpoint.Position) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.watermark, g.stored
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// signal leaves a token in c, which holds one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
