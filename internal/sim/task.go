package sim

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime/debug"
	"time"
)

// task is a goroutine of a process, as a coroutine: it runs only when its process lets it, until it waits.
type task struct {
	id    uint64
	p     *process
	step  func() (struct{}, bool)
	kill  func()
	yield func(struct{}) bool
	begun bool

	// what it waits for; gen counts its waits
	gen      uint64
	ctx      context.Context //nolint:containedctx // a wait's, looked at by the scheduler while the task does not run
	deadline time.Duration   // on the host's monotonic clock
	until    [2]<-chan struct{}
	flag     *bool
	group    *group
	err      error // how the wait ended
}

// errKilled unwinds the tasks of a process that was killed.
var errKilled = errors.New("sim: the process was killed")

// newTask makes a task that has not begun.
func newTask(p *process, f func()) *task {
	p.w.tasks++
	t := &task{id: p.w.tasks, p: p}
	t.step, t.kill = iter.Pull(func(yield func(struct{}) bool) {
		t.yield = yield
		defer func() {
			if e := recover(); e != nil && e != any(errKilled) {
				p.w.fail("panic", "process %s panics: %v\n%s", p.name, e, debug.Stack())
			}
		}()
		f()
	})
	return t
}

// park waits until ready says so. A process that was killed meanwhile unwinds.
func (t *task) park() error {
	if !t.yield(struct{}{}) {
		panic(errKilled)
	}
	err := t.err
	t.ctx, t.until, t.flag, t.group, t.err = nil, [2]<-chan struct{}{}, nil, nil, nil
	return err
}

// ready tells whether the task can go on, and takes the token that it was waiting for.
func (t *task) ready(mono time.Duration) bool {
	if !t.begun {
		return true
	}
	if t.flag != nil && *t.flag {
		return true
	}
	if t.ctx != nil && t.ctx.Err() != nil {
		t.err = context.Cause(t.ctx)
		return true
	}
	for _, c := range t.until {
		select {
		case <-c:
			return true
		default:
		}
	}
	return t.group != nil && t.group.running == 0 || t.deadline <= mono
}

// run runs the task until it waits, and tells whether it has ended.
func (t *task) run() (ended bool) {
	t.begun = true
	w := t.p.w
	w.current = t
	_, more := t.step()
	w.current = nil
	w.steps++
	if w.steps > maxSteps && w.failure == nil {
		w.fail("liveness", "more than %d steps: something spins", maxSteps)
	}
	return !more
}

// maxSteps is many times what a run takes.
const maxSteps = 20_000_000

func (t *task) String() string { return fmt.Sprintf("%s#%d", t.p.name, t.id) }
