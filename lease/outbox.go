package lease

import (
	"context"
	"slices"
	"sync"

	"github.com/runnelhq/runnel/internal/ground"
)

// outbox writes rows that come at about the same time in few calls, as the releases of a shutdown do: what comes while a call is under way goes with the next one. A row that comes
// alone waits for nothing.
type outbox struct {
	req requests

	mu    sync.Mutex
	busy  bool // somebody sends, or was told to
	queue []*letter
}

// letter is a row on its way. Its sender waits until it is written, or it is that sender's turn to write what waits.
type letter struct {
	row        Row
	may        func() bool // asked by whoever writes it, just before
	done, turn chan struct{}
	err        error // after done
}

// send writes one row, if it may still when its turn comes: [ErrLost] is that it may not, and nothing was sent. Another error may leave it open whether the row was, or will be, applied.
func (o *outbox) send(ctx context.Context, row Row, may func() bool) error {
	l := &letter{row: row, may: may, done: make(chan struct{}), turn: make(chan struct{})}
	if o.enqueue(l) {
		_ = o.req.clock.Wait(ctx, ground.Forever, l.done, l.turn)
		switch {
		case closed(l.done):
			return l.err
		case ctx.Err() != nil: // it may be under way
			o.withdraw(l)
			return context.Cause(ctx)
		}
	}
	o.write(ctx, l)
	return l.err
}

// enqueue tells whether somebody else sends now. If not, it is the caller's turn.
func (o *outbox) enqueue(l *letter) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.busy {
		o.queue = append(o.queue, l)
		return true
	}
	o.busy = true
	return false
}

// withdraw takes a letter back that nobody has begun to send. If it was its sender's turn, that is another's now.
func (o *outbox) withdraw(l *letter) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if i := slices.Index(o.queue, l); i >= 0 {
		o.queue = slices.Delete(o.queue, i, i+1)
	}
	if closed(l.turn) {
		o.pass()
	}
}

// write sends l and what waits, as much as one call holds, and gives the turn to whoever waits then. Where ctx cuts the call short, the others look what became of theirs.
func (o *outbox) write(ctx context.Context, l *letter) {
	o.mu.Lock()
	n := min(len(o.queue), writeBatch-1)
	batch := append([]*letter{l}, o.queue[:n]...)
	o.queue = slices.Delete(o.queue, 0, n)
	o.mu.Unlock()
	var sent []*letter
	var rows []Row
	for _, b := range batch {
		if b.err = ErrLost; b.may() { // not with mu held: it may end the work of a lease
			sent, rows = append(sent, b), append(rows, b.row)
		}
	}
	for i, err := range o.req.put(ctx, rows...) {
		sent[i].err = err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, b := range batch {
		close(b.done)
	}
	o.pass()
}

// pass gives the turn to whoever waits longest. To be called with mu held, by whose turn it was.
func (o *outbox) pass() {
	if o.busy = len(o.queue) > 0; o.busy {
		next := o.queue[0]
		o.queue = slices.Delete(o.queue, 0, 1)
		close(next.turn)
	}
}
