package lease

import (
	"cmp"
	"errors"
	"fmt"
	"github.com/runnelhq/runnel/internal/planted"
	"time"
)

// Timing is how fast the death of a worker is noticed, and what that costs. The zero value has the defaults. Workers may
// differ in it, as while it is being changed: the longer Expiry counts.
//
// A worker may act on its shards for 0.8·Expiry after it sent the last heartbeat that was acknowledged; others take them after Expiry. The
// rest covers clocks whose rates differ.
type Timing struct {
	Heartbeat time.Duration // between two heartbeats of a session; default 2 s
	Expiry    time.Duration // without a heartbeat until others may take over; default 10 s
	Poll      time.Duration // between two looks at the other workers; default 2 s
	Request   time.Duration // limit of one request to the store; default 2 s
	List      time.Duration // between two listings of the stream's shards, by one worker for all; default 30 s
	Settle    time.Duration // how long the set of workers must be unchanged before shards are moved; default 5 s
	// Watchdog is how long one call of a handler may last before its shard is taken from it although its worker lives. Its context ends then. If it returns, that
	// shard alone is released; if it does not within the grace, the whole session ends, hands over its other shards, and joins anew. 0, the default: no limit.
	Watchdog time.Duration
}

func (t Timing) withDefaults() Timing {
	return Timing{
		Heartbeat: cmp.Or(t.Heartbeat, 2*time.Second),
		Expiry:    cmp.Or(t.Expiry, 10*time.Second),
		Poll:      cmp.Or(t.Poll, 2*time.Second),
		Request:   cmp.Or(t.Request, 2*time.Second),
		List:      cmp.Or(t.List, 30*time.Second),
		Settle:    cmp.Or(t.Settle, 5*time.Second),
		Watchdog:  t.Watchdog,
	}
}

// own is how long a session is valid after it sent its last acknowledged heartbeat: two clocks may differ in rate by a ratio of 1.25.
func (t Timing) own() time.Duration {
	if planted.Is(planted.OwnExpiry) {
		return t.Expiry
	}
	return t.Expiry / 5 * 4
}

// blind is how long a worker may not have read the sessions before what it saw of their stillness counts no longer: after an outage of
// the store every heartbeat stood still, and nobody is to be killed for it.
func (t Timing) blind() time.Duration { return max(t.Expiry/2, t.Poll+t.Poll/10+t.Request) }

// claimEvery is how often the lister says in the application's row that it is still there.
const claimEvery = time.Minute

// late is how long a claim may be unchanged before another worker lists.
func (t Timing) late() time.Duration { return claimEvery + 3*t.List }

// fullListing is how often all leases are listed, and not only those that changed: the rarer the more there are, so that it costs no more for ten thousand than for
// some hundred.
func (t Timing) fullListing(shards int) time.Duration {
	return time.Duration(max(15, shards/40)) * t.Poll
}

// Validate joins every fault of t: it is what [NewCoordinator] refuses, for those who check earlier.
func (t Timing) Validate() error { return errors.Join(t.withDefaults().faults()...) }

// faults checks t, defaults filled in.
func (t Timing) faults() []error {
	var faults []error
	refuse := func(field, why string, args ...any) {
		faults = append(faults, fmt.Errorf("%s is %s", "Timing."+field, fmt.Sprintf(why, args...)))
	}
	for _, d := range []struct {
		field string
		d     time.Duration
	}{{"Heartbeat", t.Heartbeat}, {"Expiry", t.Expiry}, {"Poll", t.Poll}, {"Request", t.Request}, {"List", t.List}, {"Settle", t.Settle}} {
		if d.d <= 0 {
			refuse(d.field, "%v: give a positive duration, or 0 for the default", d.d)
		}
	}
	if t.Watchdog < 0 {
		refuse("Watchdog", "%v: give a positive duration, or 0 for none", t.Watchdog)
	}
	if len(faults) > 0 {
		return faults
	}
	if busy := 2*t.Heartbeat + t.Request; busy >= t.own() {
		refuse("Expiry", "%v: 2·Heartbeat + Request is %v and must be less than 0.8·Expiry, %v, or one slow request loses every shard: raise Expiry, or lower Heartbeat or Request", t.Expiry, busy, t.own())
	}
	if t.Expiry > maxExpiry {
		refuse("Expiry", "%v: it must be at most %v, or the shards of a dead worker rest for days", t.Expiry, maxExpiry)
	}
	if t.Poll > t.Expiry/2 {
		refuse("Poll", "%v, more than half of Expiry, %v: a worker that looks so rarely cannot tell who is alive: lower Poll or raise Expiry", t.Poll, t.Expiry)
	}
	return faults
}
