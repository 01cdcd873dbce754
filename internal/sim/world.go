package sim

import (
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/runnelhq/runnel/deadletter/memletters"
	"github.com/runnelhq/runnel/dedup/memdedup"
	"github.com/runnelhq/runnel/lease"
)

// world is one run: hosts with processes, a store and a stream. One thing happens at a time.
type world struct {
	seed   uint64
	dice   *rand.Rand
	now    time.Duration
	events queue

	plan     plan
	timing   lease.Timing
	store    *store
	stream   *stream
	weather  *weather
	audit    *audit
	workers  []*worker
	operator *operator
	letters  *memletters.Store
	drainer  *drainer
	sink     *memdedup.Sink
	trace    *trace
	counts   Counts

	current *task // runs now
	tasks   uint64
	steps   int
	failure *Failure
}

// Failure is what a run found to be wrong.
type Failure struct {
	Check string // which of the invariants
	What  string
	At    time.Duration
}

func (f *Failure) String() string { return fmt.Sprintf("%v: %s: %s", f.At, f.Check, f.What) }

// Result is how a run went.
type Result struct {
	Seed    uint64
	Failure *Failure // nil if all that must hold held
	Counts  Counts
	Steps   int
}

// Run makes the world of a seed and lets its time pass, or what of it passes until something is wrong. It writes what happens to out, if that is not nil.
func Run(seed uint64, out io.Writer) Result {
	w := newWorld(seed, out)
	w.begin()
	w.run()
	return Result{seed, w.failure, w.counts, w.steps}
}

// epoch is when worlds begin, by a wall clock that is right.
var epoch = time.Date(2026, time.March, 29, 0, 59, 0, 0, time.UTC)

func newWorld(seed uint64, out io.Writer) *world {
	w := &world{seed: seed, dice: rand.New(rand.NewPCG(seed, 0)), counts: make(Counts)}
	w.trace = newTrace(w, out)
	w.plan = newPlan(w.dice).withSink(seed)
	w.timing = w.plan.timing
	w.store = newStore(w)
	w.stream = newStream(w)
	w.weather = newWeather(w)
	w.audit = newAudit(w)
	w.operator = newOperator(w)
	w.letters, w.drainer, w.sink = memletters.New(), newDrainer(w), memdedup.New()
	return w
}

// run lets time pass until the plan's end.
func (w *world) run() {
	for w.step() {
		// until nothing more happens
	}
	if w.failure == nil {
		w.now = w.plan.end
		w.audit.final()
	}
	w.kill()
}

// step has the next thing happen, and tells whether there was one before the plan's end.
func (w *world) step() bool {
	if w.failure != nil {
		return false
	}
	e, ok := w.events.next()
	if !ok || e.at > w.plan.end {
		return false
	}
	w.now = max(w.now, e.at)
	if e.f != nil {
		e.f()
	} else {
		e.task.p.due(e.task, e.gen)
	}
	return true
}

// kill ends every process.
func (w *world) kill() {
	for _, k := range w.workers {
		for _, p := range k.starts {
			p.die()
		}
	}
	for _, p := range w.operator.starts {
		p.die()
	}
	if w.drainer != nil && w.drainer.p != nil {
		w.drainer.p.die()
	}
}

// at has f called at an instant.
func (w *world) at(t time.Duration, f func()) { w.events.add(event{at: max(t, w.now), f: f}) }

// after has f called when d has passed.
func (w *world) after(d time.Duration, f func()) { w.at(w.now+d, f) }

// fail ends the run. What comes first counts.
func (w *world) fail(check, format string, args ...any) {
	if w.failure == nil {
		w.failure = &Failure{check, fmt.Sprintf(format, args...), w.now}
		w.trace.say("", "FAILED", "%s: %s", check, w.failure.What)
	}
}

// chance is true with probability p.
func (w *world) chance(p float64) bool { return p > 0 && w.dice.Float64() < p }

// between is a random duration.
func (w *world) between(low, high time.Duration) time.Duration {
	return low + time.Duration(w.dice.Int64N(int64(high-low)+1))
}
