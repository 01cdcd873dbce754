package consumer

import (
	"fmt"
	"time"

	"github.com/runnelhq/runnel/internal/failure"
)

// take fills c with records that may be handled now, if there are any, and tells whether there are more.
func (w *window) take(c *call) (took, left bool) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wake(now)
	if !w.open(now) {
		if w.r.cfg().Batch.Wait > 0 {
			signal(w.changed) // what came back may have to wait for its batch, and the shift knows for how long
		}
		return false, false
	}
	if !w.r.progress.open() {
		return false, false // the end of the write offers the shard again
	}
	if !w.r.lease.ValidAt(now) {
		w.stopped = true // which the coordinator is about to say
		return false, false
	}
	c.w, c.begun, c.given = w, now, false
	w.bytes, w.full = 0, false
	c.ordinals = w.lanes.Take(c.ordinals[:0], w.r.cfg().Batch.Size, w.more)
	c.asked, c.letters = c.asked[:0], c.letters[:0]
	w.readyAt = now
	if !w.plain() {
		w.sift(c, now)
	}
	w.lend(c)
	w.calls = append(w.calls, c)
	if w.r.cfg().Timing.Watchdog > 0 {
		signal(w.changed)
	}
	return true, w.lanes.Ready() > 0
}

// open tells whether anything may be handed out, as far as the checkpoint strategy has it.
func (w *window) open(now time.Time) bool {
	if w.stopped || w.lanes.Ready() == 0 || now.Before(w.hold) || w.r.paused.Load() && !w.emptying {
		return false
	}
	b := &w.r.cfg().Batch
	return b.Wait == 0 || w.lanes.Ready() >= b.Size || w.full || w.starved || w.closed || w.emptying || !now.Before(w.readyAt.Add(b.Wait))
}

// plain tells whether every record of the shard is for the handler.
func (w *window) plain() bool {
	return len(w.failing) == 0 && len(w.doubts) == 0 && len(w.parked) == 0 && w.r.cfg().Failure.MaxAge == 0
}

// way is where a record that was taken goes.
type way uint8

const (
	toHandler way = iota
	toLetters     // it was given up, or follows a key that is parked
	toBeAsked     // of Config.Filter and Order.Key
	goesBack
)

// sift parts what is for the handler from what is not. What is of one lane goes one way in a call: the rest of the lane goes back, and waits for what becomes of those before it.
func (w *window) sift(c *call, now time.Time) {
	c.ways = c.ways[:0]
	mixed := false
	for _, o := range c.ordinals {
		c.ways = append(c.ways, w.way(o, now))
		mixed = mixed || c.ways[len(c.ways)-1] != c.ways[0]
	}
	var lanes map[int]way
	if mixed {
		lanes = make(map[int]way)
	}
	all := c.ordinals
	c.ordinals = c.ordinals[:0]
	for i, o := range all {
		way := c.ways[i]
		if mixed {
			lane := w.lanes.Lane(o)
			if before, there := lanes[lane]; there && before != way {
				way = goesBack
			}
			lanes[lane] = way
		}
		switch way {
		case toHandler:
			c.ordinals = append(c.ordinals, o)
		case toLetters:
			c.letters = append(c.letters, o)
		case toBeAsked:
			c.asked = append(c.asked, o)
		case goesBack:
			w.lanes.Return(o)
		}
	}
}

func (w *window) way(o uint64, now time.Time) way {
	switch {
	case w.gone(o, w.slot(o).rec, now):
		return toLetters
	case w.doubts[o].err != nil:
		return toBeAsked
	}
	return toHandler
}

// lend gives a call its records. A handler that sorts or filters its slice must change neither what is delivered again nor what is stored, so it gets copies; one of single records gets
// values in any case.
func (w *window) lend(c *call) {
	if len(c.ordinals) == 1 && w.single {
		h := w.slot(c.ordinals[0]).page
		i := c.ordinals[0] - h.first
		c.records = h.page.Records[i : i+1 : i+1]
		return
	}
	for _, o := range c.ordinals {
		c.lent = append(c.lent, *w.slot(o).rec)
	}
	c.records = c.lent
}

// gone tells whether a record is not for the handler any longer: it was given up, or its key is parked.
func (w *window) gone(o uint64, rec *Record, now time.Time) bool {
	if f := w.failing[o]; f != nil && f.reason != failure.None {
		return true
	}
	cfg := w.r.cfg().Failure
	if len(w.parked) > 0 && !w.stray(o) {
		if _, parked := w.parked[w.lanes.Key(o)]; parked {
			return true
		}
	}
	if cfg.MaxAge == 0 || cfg.Then == Block {
		return false
	}
	reason := cfg.policy().Expired(now.Sub(rec.Arrived))
	if reason == failure.None {
		return false
	}
	f := w.fault(o, now)
	f.reason = reason
	if f.err == nil {
		f.err, f.attempts = fmt.Errorf("consumer: the record is older than Failure.MaxAge, %v", cfg.MaxAge), rec.Attempt-1
	}
	return true
}

// fits tells whether a record fits into the batch that is being taken.
func (w *window) fits(o uint64) bool {
	w.bytes += w.size(o)
	w.full = w.bytes > w.r.cfg().Batch.Bytes
	return !w.full
}

func (w *window) size(o uint64) int64 {
	s := w.slot(o)
	if n := len(s.rec.Data); n > 0 || s.rec.Raw == nil {
		return int64(n)
	}
	return s.page.each
}
