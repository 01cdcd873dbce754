package sim

import "time"

// event is something that happens at an instant: f is called, or a task whose wait number gen may be over is looked at.
type event struct {
	at   time.Duration
	seq  uint64
	f    func()
	task *task
	gen  uint64
}

// queue holds events, the next one first. Those of one instant come in the order in which they were added.
type queue struct {
	events []event
	seq    uint64
}

func (q *queue) add(e event) {
	q.seq++
	e.seq = q.seq
	q.events = append(q.events, e)
	i := len(q.events) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !q.before(i, parent) {
			break
		}
		q.events[i], q.events[parent] = q.events[parent], q.events[i]
		i = parent
	}
}

func (q *queue) next() (event, bool) {
	if len(q.events) == 0 {
		return event{}, false
	}
	first := q.events[0]
	last := len(q.events) - 1
	q.events[0] = q.events[last]
	q.events[last] = event{}
	q.events = q.events[:last]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < last; child++ {
			if q.before(child, least) {
				least = child
			}
		}
		if least == i {
			return first, true
		}
		q.events[i], q.events[least] = q.events[least], q.events[i]
		i = least
	}
}

func (q *queue) before(i, j int) bool {
	a, b := &q.events[i], &q.events[j]
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}
