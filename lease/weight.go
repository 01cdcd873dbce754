package lease

import (
	"math"
	"math/bits"
	"time"
)

const (
	// weightTime is how fast what was measured is forgotten: after it, a third of it counts.
	weightTime = time.Minute
	// weightAfter is how much must have been measured: a shard that was just taken is behind, and read faster than it grows.
	weightAfter = 30 * time.Second
	// idleBelow is the rate in bytes a second below which a shard is idle: it costs its polls and no more.
	idleBelow = 1 << 10
)

// meter measures the bytes a second of one shard for its owner, exponentially weighted. The zero value has measured nothing.
type meter struct {
	bytes float64
	span  float64 // seconds in which they came
}

// add takes in what came in the time since the last call.
func (m *meter) add(n uint64, d time.Duration) {
	if d < 0 {
		d = 0
	}
	keep := math.Exp(-d.Seconds() / weightTime.Seconds())
	m.bytes = m.bytes*keep + float64(n)
	m.span = m.span*keep + d.Seconds()
}

// weight is what the shard's row shall say if it says published, which is as good while the rate is within a factor of 3/2 of it: a steady shard causes no
// write. It is rounded, as there is no more in it.
func (m *meter) weight(published uint64) uint64 {
	if m.span < weightAfter.Seconds() {
		return published
	}
	rate := m.bytes / m.span
	p := float64(published)
	switch {
	case rate < 1.5*p && 1.5*rate > p:
		return published
	case rate < idleBelow:
		return 0
	}
	return rounded(uint64(min(rate, maxWeight)))
}

// rounded keeps four binary digits.
func rounded(n uint64) uint64 {
	drop := max(0, bits.Len64(n)-4)
	return (n + 1<<drop>>1) >> drop << drop
}
