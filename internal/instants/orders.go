package instants

import (
	"bufio"
	"io"
	"strings"
	"sync"
)

// orders are what the other process wants.
type orders struct {
	tell func(Event)

	mu    sync.Mutex
	armed map[Instant]bool
	waits map[Instant]chan struct{} // closed, it has the call go on that waits there
}

func newOrders(tell func(Event)) *orders {
	return &orders{tell: tell, armed: make(map[Instant]bool), waits: make(map[Instant]chan struct{})}
}

// obey reads orders until there are no more.
func (o *orders) obey(in io.Reader) {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		verb, what, _ := strings.Cut(lines.Text(), " ")
		i := Instant(what)
		o.mu.Lock()
		switch verb {
		case "arm":
			o.armed[i] = true
		case "go":
			delete(o.armed, i)
			if wait := o.waits[i]; wait != nil {
				close(wait)
				delete(o.waits, i)
			}
		}
		o.mu.Unlock()
	}
}

// at is where a call has come to an instant: it waits there if that is wanted, whatever becomes of its context meanwhile.
func (o *orders) at(i Instant, e Event) {
	o.mu.Lock()
	if !o.armed[i] || o.waits[i] != nil {
		o.mu.Unlock()
		return
	}
	delete(o.armed, i)
	wait := make(chan struct{})
	o.waits[i] = wait
	o.mu.Unlock()
	e.Kind, e.Instant = Reach, i
	o.tell(e)
	<-wait
}
