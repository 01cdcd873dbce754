package sim

import (
	"math"
	"time"
)

// weather is how likely each fault is. All of it ends when the plan says so.
type weather struct {
	w *world

	// of a row that is written, or of a request
	lost       float64 // it never arrives
	unanswered float64 // it is applied, and the answer is lost
	late       float64 // it is applied long after its sender gave up
	twice      float64 // it is applied, and again later
	denied     float64 // it is applied, and the answer is a conflict: the client repeated its own success
	throttled  float64 // it is refused at once
	slow       float64 // it takes as long as a request may, or longer

	// of a listing
	stale  float64 // rows are as they were a moment ago
	missed float64 // a changed row is missing from a listing by cursor
	broken float64 // it ends with an error

	// of the service
	partial float64 // shards are missing from a listing
	silent  float64 // the listing fails, or takes too long

	// of the work
	stuck   float64 // a handler takes long and ignores its context
	unborn  float64 // the end of a shard does not name its children
	hurried float64 // a worker is replaced at once

	down    time.Duration // the store is away until then
	failing bool          // the sink is about to fail over
}

// cripple is what of the store fails for one host alone, for as long as it lasts.
type cripple uint8

const (
	noLists cripple = 1 << iota
	noReads
)

// newWeather throws the dice for each fault: it is absent, rare or frequent.
func newWeather(w *world) *weather {
	s := &weather{w: w}
	for _, p := range []struct {
		of   *float64
		most float64
	}{
		{&s.lost, 0.05}, {&s.unanswered, 0.05}, {&s.late, 0.03}, {&s.twice, 0.03}, {&s.denied, 0.05}, {&s.throttled, 0.1}, {&s.slow, 0.05},
		{&s.stale, 0.5}, {&s.missed, 0.02}, {&s.broken, 0.02}, {&s.partial, 0.5}, {&s.silent, 0.3}, {&s.stuck, 0.01}, {&s.unborn, 0.5}, {&s.hurried, 0.5},
	} {
		if w.chance(0.6) {
			*p.of = p.most * math.Pow(50, -w.dice.Float64())
		}
	}
	return s
}

// calm tells whether the faults are over.
func (s *weather) calm() bool { return s.w.now >= s.w.plan.calm }

// strikes throws the dice for one fault.
func (s *weather) strikes(p float64) bool { return !s.calm() && s.w.chance(p) }

// begin has incidents happen, each kind at its own pace, until the faults are over.
func (s *weather) begin() {
	rough := math.Pow(4, s.w.dice.Float64()*2-1) // a quarter to four times as often
	for _, i := range []struct {
		every float64 // in expiries
		f     func()
	}{
		{12, s.kill}, {15, s.leave}, {10, s.freeze}, {25, s.suspend}, {20, s.jump}, {12, s.partition}, {50, s.outage}, {25, s.maim},
		{10, s.w.stream.reshard}, {10, s.w.stream.forget}, {15, s.w.operator.act},
	} {
		if s.w.chance(0.8) {
			s.recur(time.Duration(i.every*rough*float64(s.w.timing.Expiry)), i.f)
		}
	}
	if s.w.plan.forgets {
		s.recur(15*s.w.timing.Expiry, s.failover)
	}
	if s.w.plan.reuses {
		s.recur(15*s.w.timing.Expiry, s.reuse)
	}
}

func (s *weather) recur(mean time.Duration, f func()) {
	wait := time.Duration(s.w.dice.ExpFloat64() * float64(mean))
	if s.w.now+wait >= s.w.plan.calm {
		return
	}
	s.w.after(wait, func() {
		f()
		s.recur(mean, f)
	})
}

// expiries is a random duration, up to the end of the faults.
func (s *weather) expiries(low, high float64) time.Duration {
	e := float64(s.w.timing.Expiry)
	return min(s.w.between(time.Duration(low*e), time.Duration(high*e)), s.w.plan.calm-s.w.now)
}

// victim is one of the workers whose process runs, nil if there is none.
func (s *weather) victim() *worker {
	var up []*worker
	for _, k := range s.w.workers {
		if k.up() {
			up = append(up, k)
		}
	}
	if len(up) == 0 {
		return nil
	}
	return up[s.w.dice.IntN(len(up))]
}

// kill is a SIGKILL. The worker is started again, at once or later.
func (s *weather) kill() {
	if k := s.victim(); k != nil {
		s.w.counts.add("kill")
		k.kill()
		s.again(k)
	}
}

// leave stops a worker cleanly.
func (s *weather) leave() {
	if k := s.victim(); k != nil {
		s.w.counts.add("clean stop")
		k.leave()
		s.again(k)
	}
}

func (s *weather) again(k *worker) {
	wait := s.expiries(0.1, 6)
	if s.w.chance(s.hurried) {
		wait = s.w.between(0, time.Second)
	}
	s.w.after(wait, k.start)
}

// freeze is a SIGSTOP.
func (s *weather) freeze() {
	k := s.victim()
	if k == nil {
		return
	}
	s.w.counts.add("freeze")
	p, d := k.p, s.expiries(0.05, 3)
	s.w.trace.say(p.name, "FREEZE", "for %s", seconds(d))
	p.pause()
	s.w.after(d, func() {
		if !p.dead && !p.h.suspended {
			s.w.trace.say(p.name, "THAW", "")
			p.resume()
		}
	})
}

// suspend has a machine stand still: its monotonic clock too.
func (s *weather) suspend() {
	k := s.victim()
	if k == nil || !k.sleeps {
		return
	}
	s.w.counts.add("suspend")
	p, h, d := k.p, k.h, s.expiries(0.05, 4)
	s.w.trace.say(p.name, "SUSPEND", "for %s", seconds(d))
	p.pause()
	h.suspend(s.w.now)
	s.w.after(d, func() {
		s.w.trace.say(p.name, "RESUME", "")
		h.resume(s.w.now)
		p.resume()
	})
}

// jump sets a host's wall clock.
func (s *weather) jump() {
	k := s.w.workers[s.w.dice.IntN(len(s.w.workers))]
	d := s.expiries(0.01, 3)
	if !k.sleeps && s.w.chance(0.5) {
		d = -d
	}
	s.w.counts.add("wall clock jump")
	s.w.trace.say(k.name, "JUMP", "wall clock by %s", seconds(d))
	valid := s.w.audit.validOn(k.h)
	k.h.wall += d
	s.w.audit.jumped(valid)
}

// partition cuts a host off the store.
func (s *weather) partition() {
	k, d := s.w.workers[s.w.dice.IntN(len(s.w.workers))], s.expiries(0.2, 3)
	if k.h.cut {
		return
	}
	s.w.counts.add("partition")
	s.w.trace.say(k.name, "CUT", "for %s", seconds(d))
	k.h.cut = true
	s.w.after(d, func() { k.h.cut = false })
}

// outage has the store away for all.
func (s *weather) outage() {
	d := s.expiries(0.2, 2)
	s.w.counts.add("outage")
	s.w.trace.say("", "OUTAGE", "for %s", seconds(d))
	s.down = s.w.now + d
}

// maim has some kind of request fail for one host.
func (s *weather) maim() {
	k, d := s.w.workers[s.w.dice.IntN(len(s.w.workers))], s.expiries(1, 6)
	s.w.counts.add("crippled worker")
	s.cripple(k)
	s.w.after(d, func() { k.h.deaf = 0 })
}

func (s *weather) cripple(k *worker) {
	k.h.deaf = []cripple{noLists, noReads}[s.w.dice.IntN(2)]
	s.w.trace.say(k.name, "CRIPPLE", "%d", k.h.deaf)
}
