package sim

import "time"

// million is the rate of a clock that is right, in parts.
const million = 1_000_000

// host is a machine with its clocks. All its methods are given the true time.
type host struct {
	ppm       int64         // how far its clocks go in a million of true nanoseconds
	booted    time.Duration // what the monotonic clock shows at the beginning of the world
	wall      time.Duration // likewise the wall clock, jumps included
	asleep    time.Duration // how long the machine was suspended until now, or until it was suspended
	suspended bool
	since     time.Duration // it is suspended since
	cut       bool          // no request reaches the store
	deaf      cripple       // what of the store fails for this host alone
}

// mono is the monotonic clock: it stands still while the machine is suspended.
func (h *host) mono(now time.Duration) time.Duration {
	awake := now - h.asleep
	if h.suspended {
		awake = h.since - h.asleep
	}
	return h.booted + scaled(awake, h.ppm, million)
}

// wallAt is the wall clock.
func (h *host) wallAt(now time.Duration) time.Duration { return h.wall + scaled(now, h.ppm, million) }

// reaches is the true time at which the monotonic clock shows mono, if nothing suspends it.
func (h *host) reaches(mono time.Duration) time.Duration {
	return scaled(mono-h.booted, million, h.ppm) + 1 + h.asleep
}

func (h *host) suspend(now time.Duration) { h.suspended, h.since = true, now }

func (h *host) resume(now time.Duration) {
	h.asleep += now - h.since
	h.suspended = false
}

// scaled is d·a/b. Runs are short enough for the product.
func scaled(d time.Duration, a, b int64) time.Duration {
	return d * time.Duration(a) / time.Duration(b)
}
