package torment

import (
	"context"
	"sync"
)

// Catch has one request go without its answer, as when a connection breaks at the worst of moments.
type Catch struct {
	// Match tells whether a part of what is sent, as it was read, is the request.
	Match func(part []byte) bool
	// Late has the connection of the sender break first, and the request arrive afterwards: when Release is called. Otherwise it arrives at once and is answered, and the connection breaks when Release is called.
	Late bool

	once     sync.Once
	caught   chan struct{}
	released chan struct{}
}

// Caught is closed when the request was answered and the sender does not know, or, with Late, when the sender has lost its connection and the request did not arrive yet.
func (c *Catch) Caught() <-chan struct{} { return c.caught }

// Release lets go of what was caught. It may be called again.
func (c *Catch) Release() { c.once.Do(func() { close(c.released) }) }

// Catch catches the next request that matches. There is one at a time.
func (p *Proxy) Catch(c *Catch) {
	c.caught, c.released = make(chan struct{}), make(chan struct{})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.catch = c
}

// Forget catches nothing any more. What was caught is let go.
func (p *Proxy) Forget(c *Catch) {
	c.Release()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.catch == c {
		p.catch = nil
	}
}

// matching is the catch that a request is for, which then waits for no other.
func (p *Proxy) matching(part []byte) *Catch {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.catch
	if c == nil || !c.Match(part) {
		return nil
	}
	p.catch = nil
	return c
}

// caughtRequest looks for what is to be caught in a part of a request. True: the request was sent, and the sender is gone.
func (p *Proxy) caughtRequest(ctx context.Context, l *link, part []byte) bool {
	c := p.matching(part)
	if c == nil {
		return false
	}
	if !c.Late {
		l.catch.Store(c)
		return false
	}
	reset(l.client)
	close(c.caught)
	select {
	case <-c.released:
	case <-ctx.Done():
		return true
	}
	l.catch.Store(c)
	if _, err := l.server.Write(part); err != nil {
		return true
	}
	select { // a connection that is reset before that takes unread requests with it
	case <-l.answered:
	case <-ctx.Done():
	}
	return true
}

// caughtAnswer tells whether an answer is not to be passed on, when the time has come to break the connection.
func (p *Proxy) caughtAnswer(ctx context.Context, l *link, _ []byte) bool {
	c := l.catch.Load()
	if c == nil {
		return false
	}
	if c.Late {
		close(l.answered)
		return true
	}
	close(c.caught)
	select {
	case <-c.released:
	case <-ctx.Done():
	}
	return true
}
