package sim

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/runnelhq/runnel/dedup/memdedup"
	"github.com/runnelhq/runnel/internal/ground"
)

// process is one start of a worker's program on a host. It is a [ground.Ground].
type process struct {
	w     *world
	h     *host
	name  string
	dice  *rand.Rand
	tasks []*task
	sink  *memdedup.Sink // its own on what all of them write to

	paused   bool          // by SIGSTOP, or with its machine
	deferred []func()      // timers that fired meanwhile
	running  bool          // in schedule
	asking   int           // questions for the store's history that have no answer yet: until then nothing is begun
	unsure   bool          // the last one failed
	doubts   time.Duration // until then a heartbeat that was acknowledged may not count, for such a question failed
	dead     bool

	stop    func() // asks it to stop
	stopped bool   // it was asked to
	done    bool   // its program has ended
	err     error  // how
}

func newProcess(w *world, h *host, name string, seed uint64) *process {
	p := &process{w: w, h: h, name: name, dice: rand.New(rand.NewPCG(w.seed, seed))}
	if w.plan.sink {
		p.sink = w.sink.Another()
	}
	return p
}

// start begins a goroutine.
func (p *process) start(f func()) {
	if !p.dead {
		p.tasks = append(p.tasks, newTask(p, f))
	}
}

func (p *process) mono() time.Duration { return p.h.mono(p.w.now) }

// schedule runs every task that can go on, until none can. Where it begins to look is random, as a scheduler's choice is.
func (p *process) schedule() {
	if p.running {
		return
	}
	p.running = true
	defer func() { p.running = false }()
	for !p.paused && !p.dead && p.w.failure == nil {
		t := p.runnable()
		if t == nil {
			return
		}
		if t.run() {
			p.tasks = slices.DeleteFunc(p.tasks, func(other *task) bool { return other == t })
		}
	}
}

func (p *process) runnable() *task {
	n := len(p.tasks)
	if n == 0 {
		return nil
	}
	mono, from := p.mono(), p.dice.IntN(n)
	for i := range n {
		if t := p.tasks[(from+i)%n]; t.ready(mono) {
			return t
		}
	}
	return nil
}

// due is called when the deadline of a task's wait may have come.
func (p *process) due(t *task, gen uint64) {
	if t.gen != gen || p.dead || p.paused {
		return
	}
	if t.deadline > p.mono() {
		p.alarm(t)
		return
	}
	p.schedule()
}

// alarm has the scheduler look at the task's deadline when it comes.
func (p *process) alarm(t *task) {
	p.w.events.add(event{at: max(p.w.now, p.h.reaches(t.deadline)), task: t, gen: t.gen})
}

// pause stops everything but the clocks and what the process has sent.
func (p *process) pause() { p.paused = true }

// resume goes on after a pause. Deadlines that passed meanwhile are over at once; those that a suspended machine's clock has not reached are waited for again.
func (p *process) resume() {
	if p.dead {
		return
	}
	p.paused = false
	fired := p.deferred
	p.deferred = nil
	for _, f := range fired {
		f()
	}
	for _, t := range p.tasks {
		if t.begun && t.deadline != ground.Forever {
			p.alarm(t)
		}
	}
	p.schedule()
}

// die ends the process at once. What it has sent may still land.
func (p *process) die() {
	if p.dead {
		return
	}
	p.dead = true
	p.deferred = nil
	for _, t := range p.tasks {
		t.kill()
	}
	p.tasks = nil
}
