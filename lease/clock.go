package lease

import "time"

// instant is a moment on the two clocks of this host. The monotonic clock never jumps, but stands still on Linux while a virtual machine is
// suspended; the wall clock goes on and may jump.
type instant struct {
	mono time.Duration
	wall time.Time
}

// age is how long before now i was, on the clock that says more.
func (i instant) age(now instant) time.Duration { return max(now.mono-i.mono, now.wall.Sub(i.wall)) }

// clock counts the monotonic time from began.
type clock struct{ began time.Time }

func newClock() clock { return clock{time.Now()} }

func (c clock) now() instant {
	t := time.Now()
	return instant{t.Sub(c.began), t.Round(0)}
}

// mono is for what others do: nobody compares wall clocks between hosts.
func (c clock) mono() time.Duration { return time.Since(c.began) }
