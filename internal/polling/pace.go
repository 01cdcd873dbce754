package polling

import (
	"context"
	"time"

	"github.com/runnelhq/runnel/internal/backoff"
)

// failing is how the waits grow while requests fail. They are added to the interval of a busy shard.
var failing = backoff.Policy{Base: 250 * time.Millisecond, Cap: 5 * time.Second}

// slowest is the longest interval that throttles can lead to.
const slowest = 2 * time.Second

// pace says when a shard may be read again. A busy shard is read at the shortest interval, an idle one ever less often; throttles lengthen the
// shortest interval, and reads that succeed shorten it again.
type pace struct {
	busy, idle time.Duration // the interval of a busy shard, and the longest of an idle one
	rate       int64         // bytes a second, which the service allows; 0: any

	floor    time.Duration // the shortest interval now: busy, or more after throttles
	interval time.Duration
	next     time.Time
}

func newPace(busy, idle time.Duration, rate int64) pace {
	return pace{busy: busy, idle: idle, rate: rate, floor: busy, interval: busy}
}

func (p *pace) wait(ctx context.Context) error { return backoff.Wait(ctx, time.Until(p.next)) }

// answered plans the read that follows one sent at began, which gave so many bytes. More says that the shard has, or just had, records.
func (p *pace) answered(began time.Time, bytes int64, more bool) {
	p.floor = max(p.busy, p.floor*9/10)
	if more {
		p.interval = p.floor
	} else {
		p.interval = max(p.floor, min(2*p.interval, p.idle))
	}
	wait := backoff.Jitter(p.interval)
	if p.rate > 0 {
		wait = max(wait, time.Duration(float64(bytes)/float64(p.rate)*float64(time.Second)))
	}
	p.next = began.Add(wait)
}

// failed plans the attempt after the n-th failure in a row.
func (p *pace) failed(n int, throttled bool) {
	if throttled {
		p.floor = min(2*p.floor, max(slowest, p.busy))
	}
	p.next = time.Now().Add(p.floor + failing.Delay(n))
}
