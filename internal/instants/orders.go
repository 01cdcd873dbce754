package instants

import (
	"bufio"
	"io"
	"strings"
	"sync"
)

// orders are what the other process wants.
type orders struct {
	mu    sync.Mutex
	armed Instant       // "": nothing
	wait  chan struct{} // closed, it has the call go on that waits; nil: none waits
}

// obey reads orders until there are no more, which is the end of the process.
func (o *orders) obey(in io.Reader) {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		verb, what, _ := strings.Cut(lines.Text(), " ")
		o.mu.Lock()
		switch verb {
		case "arm":
			o.armed = Instant(what)
		case "disarm":
			o.armed = ""
		case "go":
			if o.wait != nil {
				close(o.wait)
				o.wait = nil
			}
		}
		o.mu.Unlock()
	}
}

// at is where a call has come to an instant: it waits there if that is wanted, whatever becomes of its context meanwhile.
func (o *orders) at(i Instant, e Event) {
	o.mu.Lock()
	if o.armed != i {
		o.mu.Unlock()
		return
	}
	o.armed = ""
	wait := make(chan struct{})
	o.wait = wait
	o.mu.Unlock()
	e.Kind, e.Instant = Reach, i
	e.say()
	<-wait
}
