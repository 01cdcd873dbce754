package consumer

import (
	"context"
	"fmt"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/lease"
)

// shift is a runner at work: one goroutine that waits for all that can happen to the shard, and beside it a feed, a dispatcher while there are
// records, and a write while a position is due. So an idle shard holds two goroutines.
type shift struct {
	r    *runner
	stop chan struct{} // closed: nothing more is handed out

	endReading, endHandling, endWriting context.CancelCauseFunc

	feed       *feed
	dispatcher *dispatcher
	dispatch   func(Page)                     // hands a page's records out
	save       func(checkpoint.Position, int) // writes a position, which covers so many records
	pages      <-chan Page                    // nil: nothing more is handled
	fed        <-chan struct{}                // closed when the feed has returned
	handled    <-chan struct{}                // closed when the page in hand is; nil: there is none
	written    <-chan struct{}                // closed when the write under way has ended; nil: there is none
	stored     bool                           // whether it ended well
	watchdog   *time.Timer                    // looks at the page in hand; nil: no page was, or there is no watchdog
}

// begin starts to read. ctx is the lease's.
func begin(ctx context.Context, r *runner) *shift {
	s := &shift{r: r, stop: make(chan struct{})}
	var reading, handling, writing context.Context
	reading, s.endReading = context.WithCancelCause(ctx)
	handling, s.endHandling = context.WithCancelCause(ctx)
	writing, s.endWriting = context.WithCancelCause(ctx)
	s.feed = newFeed(r)
	s.dispatcher = &dispatcher{r: r, stop: s.stop}
	s.dispatch = func(page Page) { s.dispatcher.page(handling, page) }
	s.save = func(p checkpoint.Position, records int) { s.stored = r.write(writing, p, records) }
	s.pages = s.feed.pages
	s.fed = spawn(func() { s.feed.run(reading) })
	return s
}

// work lasts until the shard is to be given up: nil if what is in flight may be finished first, and otherwise why it may not. [ErrStuck] is that the lease is there yet, and the handler
// shall return.
func (s *shift) work(ctx context.Context) (lost error) {
	timer := time.NewTimer(checkpoint.Never)
	defer timer.Stop()
	for {
		due, asked := s.store(timer)
		pages := s.pages
		if s.handled != nil {
			pages = nil
		}
		select {
		case <-s.r.lease.Draining():
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case page, ok := <-pages:
			switch {
			case ok && s.handle(page):
				return nil
			case ok:
			case ctx.Err() == nil: // nothing else ends a feed before the last page
				s.r.failed(errQuit)
				return nil
			default:
				s.pages = nil
			}
		case <-s.handled:
			s.handled = nil
			if s.dispatched() {
				return nil
			}
		case <-s.written:
			s.written = nil
			if !s.stored {
				return lease.ErrLost
			}
		case <-s.watched():
			if lost := s.stuck(); lost != nil {
				return lost
			}
		case <-timer.C:
		case <-due:
		case <-asked:
		}
	}
}

// watch has the watchdog look at a page that is about to be handled.
func (s *shift) watch() {
	limit := s.r.cfg().Timing.Watchdog
	switch {
	case limit == 0:
	case s.watchdog == nil:
		s.watchdog = time.NewTimer(limit)
	default:
		s.watchdog.Reset(limit)
	}
}

// watched is when the watchdog is to look; never, without a page in hand.
func (s *shift) watched() <-chan time.Time {
	if s.watchdog == nil || s.handled == nil {
		return nil
	}
	return s.watchdog.C
}

// stuck is why the shard is to be taken from its handler, nil if the call under way has time yet.
func (s *shift) stuck() error {
	limit, lasts := s.r.cfg().Timing.Watchdog, s.dispatcher.lasts()
	if lasts < limit {
		s.watchdog.Reset(limit - lasts)
		return nil
	}
	lost := fmt.Errorf("%w: shard %s: a call lasts longer than Timing.Watchdog, %v", ErrStuck, s.r.lease.Shard().ID, limit)
	s.r.failed(lost)
	return lost
}

// handle gives a page to the dispatcher. It tells whether the shard is over.
func (s *shift) handle(page Page) (over bool) {
	if len(page.Records) == 0 {
		s.dispatch(page)
		return s.dispatched()
	}
	s.handled = spawn(func() { s.dispatch(page) })
	s.watch()
	return false
}

// dispatched looks at how the dispatcher returned from a page. It tells whether the shard is over.
func (s *shift) dispatched() (over bool) {
	d := s.dispatcher
	if d.quit {
		s.r.failed(errQuit)
		return true
	}
	if !d.done {
		s.pages = nil // the lease is not valid, which the coordinator is about to say
	}
	return d.ended
}

// store begins a write if one is due, and gives what is to be waited for before it is called again.
func (s *shift) store(timer *time.Timer) (due, asked <-chan struct{}) {
	timer.Reset(max(s.write(), time.Millisecond)) // a Strategy may say next to nothing again and again
	if s.written != nil {
		return nil, nil // its end is the time to look
	}
	return s.r.progress.due, s.r.progress.ask.notify
}

// write begins a write if one is due and none is under way. It gives the time until it is to be called again, unless something happens before.
func (s *shift) write() time.Duration {
	if s.written != nil {
		return checkpoint.Never
	}
	p, records, wait := s.r.progress.begin(time.Now())
	if wait == 0 {
		s.stored = false // also if a hook ends the goroutine
		s.written = spawn(func() { s.save(p, records) })
		return checkpoint.Never
	}
	return wait
}

// end stops reading and handing out, and waits for what is in flight: for the whole drain if nothing is lost, and then, its context ended, for the
// grace. What still runs after that is returned.
func (s *shift) end(lost error) (running <-chan struct{}) {
	s.endReading(ErrDrain)
	close(s.stop)
	worked := spawn(func() { // all but a write have returned
		<-s.fed
		if s.handled != nil {
			<-s.handled
		}
		for page := range s.feed.pages {
			s.r.settle(page)
		}
		s.endHandling(nil)
	})
	if !s.returned(worked, lost) {
		s.endWriting(errAbandoned)
		return spawn(func() {
			<-worked
			if s.written != nil {
				<-s.written
			}
		})
	}
	if s.written != nil && !within(s.written, s.r.cfg().Stop.Grace) { // a store may refuse this row and take heartbeats
		s.endWriting(ErrDrain)
		<-s.written
	}
	s.endWriting(nil)
	return nil
}

// returned tells whether the feed and the dispatcher returned in time.
func (s *shift) returned(worked <-chan struct{}, lost error) bool {
	if lost == nil {
		if s.drain(worked, s.r.cfg().Stop.Drain) {
			return true
		}
		lost = ErrDrain
	}
	s.endHandling(lost)
	return within(worked, s.r.cfg().Stop.Grace)
}

// drain is [within] while positions are stored: a process may be killed in its drain, and a handler be abandoned after it.
func (s *shift) drain(worked <-chan struct{}, d time.Duration) bool {
	begun, over, timer := time.Now(), time.NewTimer(d), time.NewTimer(checkpoint.Never)
	defer over.Stop()
	defer timer.Stop()
	for {
		due, asked := s.store(timer)
		select {
		case <-worked:
			return true
		case <-over.C:
			return false
		case <-s.written:
			s.written = nil
			if !s.stored { // nor will anything be
				return within(worked, d-time.Since(begun))
			}
		case <-timer.C:
		case <-due:
		case <-asked:
		}
	}
}

// spawn runs f in a goroutine and gives what is closed when it has returned.
func spawn(f func()) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	return done
}

func within(done <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}
