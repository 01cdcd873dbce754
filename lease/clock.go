package lease

import "time"

// instant is a moment on the two clocks of this host. The monotonic clock never jumps, but stands still on Linux while a virtual machine is
// suspended; the wall clock goes on and may jump.
type instant struct {
	mono time.Duration
	wall time.Duration // since 1970
}

// age is how long before now i was, on the clock that says more.
func (i instant) age(now instant) time.Duration { return max(now.mono-i.mono, now.wall-i.wall) }

// clock counts the monotonic time from began.
type clock struct{ began time.Time }

func newClock() clock { return clock{time.Now()} }

func (c clock) now() instant { return c.at(time.Now()) }

func (c clock) at(t time.Time) instant { return instant{t.Sub(c.began), time.Duration(t.UnixNano())} }

// mono is for what others do: nobody compares wall clocks between hosts.
func (c clock) mono() time.Duration { return time.Since(c.began) }
