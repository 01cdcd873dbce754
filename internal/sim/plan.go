package sim

import (
	"math/rand/v2"
	"time"

	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/lease"
)

// plan is what the dice say about a world before its time begins.
type plan struct {
	timing  lease.Timing
	workers int
	shards  int           // at the beginning
	latest  bool          // the application starts at LATEST
	calm    time.Duration // no faults from here on
	end     time.Duration
	mad     bool  // a host's clocks go at less than half the rate: two workers may be valid, and only the stored epoch keeps them apart
	drift   int64 // how far clocks may be from right, in parts of a million

	then     then    // what becomes of records that are given up
	attempts int     // after which they are
	batch    int     // records in a call at most
	calls    int     // of a shard at once
	poison   float64 // part of the records that no attempt can help before the faults are over
	ailing   float64 // part of the records that fail for a while

	sink    bool        // effects go through a sink that seals
	scope   dedup.Scope // by what it tells repeats
	forgets bool        // it fails over, and forgets its last writes
	reuses  bool        // the store of leases forgets takes, and hands out epochs again
}

// then is what becomes of a record that is given up.
type then uint8

const (
	blocks then = iota // nothing: it is tried for ever
	skips
	sendsLetter
	parksKey
)

// most is how many shards may be open at once.
const most = 32

// timings are accepted by Validate: the default, as often as not; the quickest; one with little to spare; and a slow one.
var timings = []lease.Timing{
	{Heartbeat: 2 * time.Second, Expiry: 10 * time.Second, Poll: 2 * time.Second, Request: 2 * time.Second, List: 30 * time.Second, Settle: 5 * time.Second},
	{Heartbeat: 200 * time.Millisecond, Expiry: time.Second, Poll: 250 * time.Millisecond, Request: 300 * time.Millisecond, List: 3 * time.Second, Settle: 500 * time.Millisecond},
	{Heartbeat: time.Second, Expiry: 4 * time.Second, Poll: 2 * time.Second, Request: time.Second, List: 10 * time.Second, Settle: 2 * time.Second},
	{Heartbeat: 3 * time.Second, Expiry: 15 * time.Second, Poll: 4 * time.Second, Request: 4 * time.Second, List: 30 * time.Second, Settle: 10 * time.Second},
}

// length is how long a run is, in expiries: ten minutes at the default.
const length = 60

func newPlan(dice *rand.Rand) plan {
	p := plan{timing: timings[0], workers: 3 + dice.IntN(5), shards: 4 + dice.IntN(13), latest: dice.IntN(3) == 0}
	if dice.IntN(2) == 0 {
		p.timing = timings[dice.IntN(len(timings))]
	}
	if dice.IntN(8) == 0 {
		p.shards = most - 8 + dice.IntN(8)
	}
	if dice.IntN(3) == 0 {
		p.timing.Watchdog = p.timing.Expiry * 3 / 2
	}
	p.mad = dice.IntN(8) == 0
	p.end = length * p.timing.Expiry
	p.calm = p.end / 10 * 8
	switch dice.IntN(4) {
	case 0:
		p.drift = 110_000 // two hosts at either end differ by a ratio of 1.247
	case 1:
		p.drift = 5_000
	default:
		p.drift = 50
	}
	p.then = then(dice.IntN(4))
	p.attempts, p.batch, p.calls = 1+dice.IntN(3), 1, 1+dice.IntN(4)
	if dice.IntN(2) == 0 {
		p.batch = 2 + dice.IntN(4)
	}
	p.poison, p.ailing = 0.03*dice.Float64(), 0.05*dice.Float64()
	return p
}

// withSink is the plan with what dice of their own say of a sink: worlds without one are what they would be if there were none.
func (p plan) withSink(seed uint64) plan {
	dice := rand.New(rand.NewPCG(seed, 1<<40))
	if p.sink = dice.IntN(2) == 0; !p.sink {
		return p
	}
	p.scope = dedup.PerKey
	if dice.IntN(4) == 0 {
		p.scope = dedup.PerShard
		if p.then == parksKey { // there is one lane, which is no key
			p.then = sendsLetter
		}
	}
	p.forgets, p.reuses = dice.IntN(2) == 0, dice.IntN(3) == 0
	if 2*rests > p.quiet() { // who was refused again and again would not be back before the end
		p.forgets, p.reuses = false, false
	}
	return p
}

// rests is how long a worker leaves a shard alone, at most, whose work it has given up by itself several times.
const rests = 30 * time.Second

// quiet is how long the end of a run has no faults.
func (p plan) quiet() time.Duration { return p.end - p.calm }

// found is within which time of the end of the faults, or of a worker's death in quiet, a shard must be owned again. The observers' clocks may be slow, requests
// that were sent in the faults end with their limit, and a worker that was cut off must see that its session is over.
func (p plan) found() time.Duration {
	t := p.timing
	if p.mad {
		return 5 * (t.Expiry + 2*t.Poll + t.Heartbeat + t.Request)
	}
	return (t.Expiry+2*t.Poll+t.Heartbeat)*5/4 + 3*t.Request + time.Second
}
