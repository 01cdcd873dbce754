package consumer

import (
	"context"
	"fmt"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/lease"
)

// shift is a runner at work: one goroutine that waits for all that can happen to the shard. Beside it the feed reads, workers of the pool handle, and a write stores a position while one is
// due. So an idle shard holds two goroutines.
type shift struct {
	r      *runner
	window *window

	endReading, endHanding, endHandling, endWriting context.CancelCauseFunc

	feed    *feed
	save    func(records int) // writes a position, which covers so many records
	fed     <-chan struct{}   // closed when the feed has returned
	written <-chan struct{}   // closed when the write under way has ended; nil: there is none
	stored  bool              // whether it ended well
}

// begin starts to read. ctx is the lease's.
func begin(ctx context.Context, r *runner) *shift {
	s := &shift{r: r}
	var reading, handing, handling, writing context.Context
	handling, s.endHandling = context.WithCancelCause(ctx)
	handing, s.endHanding = context.WithCancelCause(handling)
	reading, s.endReading = context.WithCancelCause(ctx)
	writing, s.endWriting = context.WithCancelCause(ctx)
	s.window = newWindow(handling, handing, r)
	r.window.Store(s.window)
	s.feed = newFeed(r, s.window)
	s.save = func(records int) { s.stored = r.write(writing, s.window, records) }
	s.fed = spawn(func() { s.feed.run(reading) })
	return s
}

// work lasts until the shard is to be given up: nil if what is in flight may be finished first, and otherwise why it may not. [ErrStuck] is that the lease is there yet, and the handler
// shall return.
func (s *shift) work(ctx context.Context) (lost error) {
	timer := time.NewTimer(checkpoint.Never)
	defer timer.Stop()
	fed := s.fed
	for {
		due, asked := s.store(timer)
		select {
		case <-s.r.lease.Draining():
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-fed:
			fed = nil
			if ctx.Err() == nil && !s.feed.finished { // nothing else ends a feed before the last page
				s.r.failed(errQuit)
				return nil
			}
		case <-s.written:
			s.written = nil
			if !s.stored {
				return lease.ErrLost
			}
		case <-s.window.changed:
			over, quit := s.window.state()
			if by := s.window.unsealedBy(); by != nil {
				return by
			}
			if quit {
				s.r.failed(errQuit)
			}
			if over || quit {
				return nil
			}
		case <-timer.C:
		case <-due:
		case <-asked:
		}
		if lost := s.stuck(); lost != nil {
			return lost
		}
	}
}

// stuck is why the shard is to be taken from its handler, nil if no call has lasted too long.
func (s *shift) stuck() error {
	limit := s.r.cfg().Timing.Watchdog
	if limit == 0 || s.window.lasts(time.Now()) < limit {
		return nil
	}
	lost := fmt.Errorf("%w: shard %s: a call lasts longer than Timing.Watchdog, %v", ErrStuck, s.r.lease.Shard().ID, limit)
	s.r.failed(lost)
	return lost
}

// store begins a write if one is due, and gives what is to be waited for before it is called again.
func (s *shift) store(timer *time.Timer) (due, asked <-chan struct{}) {
	timer.Reset(max(min(s.write(), s.window.tick(time.Now())), time.Millisecond)) // a Strategy may say next to nothing again and again
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
	now := time.Now()
	records, wait := s.r.progress.begin(now)
	if wait == 0 {
		s.stored = false // also if a hook ends the goroutine
		s.written = spawn(func() { s.save(records) })
		return checkpoint.Never
	}
	return wait
}

// end stops reading and handing out, and waits for what is in flight: for the whole drain if nothing is lost, and then, its context ended, for the
// grace. What still runs after that is returned.
func (s *shift) end(lost error) (running <-chan struct{}) {
	s.endReading(ErrDrain)
	emptying := lost == nil && s.r.cfg().Delivery == AtMostOnce // what was read is read by nobody again
	if !emptying {
		s.endHanding(ErrDrain)
		s.window.halt(false)
	}
	worked := spawn(func() { // all but a write have returned
		<-s.fed
		if emptying {
			s.window.halt(true)
			s.r.c.pool.offer(s.window) // no batch fills any further
		}
		<-s.window.quiet
		s.window.clear()
		s.endHandling(nil)
	})
	if !s.returned(worked, lost) {
		s.endWriting(errAbandoned)
		s.window.abandon()
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

// returned tells whether the feed and the handlers returned in time.
func (s *shift) returned(worked <-chan struct{}, lost error) bool {
	if lost == nil {
		if s.drain(worked, s.r.cfg().Stop.Drain) {
			return true
		}
		lost = ErrDrain
	}
	s.endHandling(lost)
	s.window.drop()
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
