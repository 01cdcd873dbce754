package leasetest

import (
	"fmt"
	"time"

	"github.com/runnelhq/runnel/lease"
)

// Fault is what a [Line] does to the requests of a store and to their answers.
type Fault int

const (
	// None lets everything pass.
	None Fault = iota
	// Cut lets no request reach the service: each fails soon. Of requests under way the answers are lost.
	Cut
	// Lost lets each request reach the service, which carries it out, and ends the connection instead of the answer.
	Lost
	// Late keeps requests on the way. They reach the service when another fault is set, also those whose sender has given up by then.
	Late
	// Slow has each answer come later by [SlowBy].
	Slow
	// Throttled has the service refuse each request because there are too many, without carrying it out.
	Throttled
)

// SlowBy is what an answer takes longer on a line that is [Slow].
const SlowBy = 50 * time.Millisecond

func (f Fault) String() string {
	if f < None || f > Throttled {
		return fmt.Sprintf("Fault(%d)", int(f))
	}
	return [...]string{"None", "Cut", "Lost", "Late", "Slow", "Throttled"}[f]
}

// Line is the way between a store and its service, with faults on demand. [Transport] is one for stores that speak HTTP, [Proxy] one for those that speak
// anything else on TCP. A line of one's own is called by one goroutine at a time.
type Line interface {
	// Faults are those that Set knows. The cases that need another are not run. A line always knows None.
	Faults() []Fault
	// Set has the line do what f says, from now on and also to the requests under way as far as that can be. When it leaves Late it returns after the
	// service has answered what it was sent late.
	Set(f Fault)
}

// Faulty is a store whose way to its service has faults.
type Faulty struct {
	// Store is tested. Its requests pass Line.
	Store lease.Store
	// Direct has the same storage as Store, and its requests do not pass Line: it says what the service holds, and writes while Store cannot.
	Direct lease.Store
	// Line is without a fault when it is handed over.
	Line Line
}
