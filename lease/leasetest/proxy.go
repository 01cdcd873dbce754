package leasetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// arrivalLimit is how long a [Proxy] waits for the service's answers to what arrived late.
const arrivalLimit = 5 * time.Second

// Proxy is a [Line] of TCP connections, on loopback. It knows every fault but [Throttled], whatever is spoken: it holds, loses and delays what one end
// sends at a time.
type Proxy struct {
	listener net.Listener
	target   string
	ctx      context.Context //nolint:containedctx // it ends with Close, as what the proxy started does
	end      context.CancelFunc
	running  sync.WaitGroup

	mu       sync.Mutex
	fault    Fault
	released chan struct{} // closed when what is late may arrive; nil unless fault is Late
	links    map[*link]bool
}

// NewProxy listens on a port of loopback, [Proxy.Addr], for connections to target, a host and a port. Close ends it.
func NewProxy(target string) (*Proxy, error) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("leasetest: listen for %s: %w", target, err)
	}
	p := &Proxy{listener: listener, target: target, links: map[*link]bool{}}
	p.ctx, p.end = context.WithCancel(context.Background())
	p.running.Go(p.accept)
	return p, nil
}

// Addr is where clients connect to: a host and a port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Close ends every connection, and returns when all that the proxy started has ended.
func (p *Proxy) Close() error {
	p.end()
	err := p.listener.Close()
	p.mu.Lock()
	for l := range p.links {
		l.cut()
	}
	p.mu.Unlock()
	p.running.Wait()
	return err
}

// Faults are all but Throttled.
func (p *Proxy) Faults() []Fault { return []Fault{None, Cut, Lost, Late, Slow} }

// Set is as [Line] has it.
func (p *Proxy) Set(f Fault) {
	var owed []<-chan struct{}
	p.mu.Lock()
	p.fault = f
	if p.released != nil {
		close(p.released)
		p.released = nil
	}
	for l := range p.links {
		if f == Cut && l.answered == nil { // what is late arrives also when the next fault is Cut
			l.cut()
		}
		if l.answered != nil {
			owed = append(owed, l.answered)
		}
	}
	if f == Late {
		p.released, owed = make(chan struct{}), nil
	}
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(p.ctx, arrivalLimit)
	defer cancel()
	for _, answered := range owed {
		select {
		case <-answered:
		case <-ctx.Done():
			return
		}
	}
}

// now is the fault of the line.
func (p *Proxy) now() Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.connect(client.(*net.TCPConn)) })
	}
}

// connect carries one connection until both ends are done with it.
func (p *Proxy) connect(client *net.TCPConn) {
	l := &link{proxy: p, client: client}
	defer l.close()
	if p.now() == Cut {
		return
	}
	server, err := (&net.Dialer{}).DialContext(p.ctx, "tcp", p.target)
	if err != nil {
		return
	}
	l.server = server.(*net.TCPConn)
	p.mu.Lock()
	p.links[l] = true
	if p.ctx.Err() != nil {
		l.cut()
	}
	p.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(l.forth)
	l.back()
	wg.Wait()
}

// link is a connection of a client, and the one to the service that carries it.
type link struct {
	proxy          *Proxy
	client, server *net.TCPConn
	answered       chan struct{} // by proxy.mu: closed when the service has answered what was late; nil if nothing is
	arrived        bool          // by proxy.mu: what was late has been sent on
}

// forth carries requests. What a client sent before it hung up is carried all the same.
func (l *link) forth() {
	buffer := make([]byte, 64*1024)
	for {
		n, err := l.client.Read(buffer)
		if n > 0 {
			held := l.hold()
			if l.proxy.now() == Cut && !held {
				l.cut()
			}
			if _, err := l.server.Write(buffer[:n]); err != nil {
				return
			}
			if held {
				l.proxy.mu.Lock()
				l.arrived = true
				l.proxy.mu.Unlock()
			}
		}
		if err != nil {
			_ = l.server.CloseWrite() // the service answers what it has, and hangs up
			return
		}
	}
}

// hold waits while the line is Late.
func (l *link) hold() (held bool) {
	p := l.proxy
	p.mu.Lock()
	released := p.released
	if released != nil && l.answered == nil {
		l.answered = make(chan struct{})
	}
	p.mu.Unlock()
	if released == nil {
		return false
	}
	select {
	case <-released:
	case <-p.ctx.Done():
	}
	return true
}

// back carries answers.
func (l *link) back() {
	buffer := make([]byte, 64*1024)
	gone := false
	for {
		n, err := l.server.Read(buffer)
		l.answer(err != nil)
		if n > 0 && !gone {
			switch l.proxy.now() {
			case Lost, Cut:
				l.cut()
			case Slow:
				l.pause()
			}
			_, lost := l.client.Write(buffer[:n])
			gone = lost != nil
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				_ = l.client.Close() // an end as the service's, and no reset: what it said last arrives
			}
			l.cut()
			return
		}
	}
}

// answer notes that the service has answered, or hung up.
func (l *link) answer(over bool) {
	p := l.proxy
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.answered != nil && (l.arrived || over) {
		close(l.answered)
		l.answered, l.arrived = nil, false
	}
}

func (l *link) pause() {
	timer := time.NewTimer(SlowBy)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.proxy.ctx.Done():
	}
}

// cut ends a link at once: both ends see a reset.
func (l *link) cut() {
	for _, conn := range []*net.TCPConn{l.client, l.server} {
		if conn != nil {
			_ = conn.SetLinger(0)
			_ = conn.Close()
		}
	}
}

func (l *link) close() {
	l.cut()
	l.answer(true)
	l.proxy.mu.Lock()
	defer l.proxy.mu.Unlock()
	delete(l.proxy.links, l)
}
