package torment

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/runnelhq/runnel/internal/backoff"
)

// Mode is what a proxy does with what passes it.
type Mode string

// The modes of a proxy.
const (
	Pass     Mode = "pass"
	Refuse   Mode = "refuse"   // connections are reset
	Swallow  Mode = "swallow"  // nothing is answered; what was sent meanwhile arrives when the mode ends, long after its sender gave it up
	Lose     Mode = "lose"     // requests arrive, and the connection is reset when their answer comes
	Delay    Mode = "delay"    // each part of an answer takes a while longer
	Throttle Mode = "throttle" // an HTTP server that refuses every request
)

// late is how much longer an answer takes in the mode delay.
const late = 250 * time.Millisecond

var errCut = errors.New("cut off")

// Proxy stands between a worker and its store.
type Proxy struct {
	listener net.Listener
	target   string
	end      context.CancelFunc
	life     sync.WaitGroup

	mu      sync.Mutex
	mode    Mode
	changed chan struct{} // closed when the mode changes
	conns   map[net.Conn]struct{}
	closed  bool
	hits    map[Mode]int // what was passed on, refused, lost …, by mode
	catch   *Catch       // of the next request that matches; nil: none is waited for
}

// NewProxy listens on loopback, until it is closed.
func NewProxy(ctx context.Context, target string) (*Proxy, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ctx, end := context.WithCancel(context.WithoutCancel(ctx))
	p := &Proxy{
		listener: l, target: target, end: end, mode: Pass,
		changed: make(chan struct{}), conns: make(map[net.Conn]struct{}), hits: make(map[Mode]int),
	}
	p.life.Go(func() { p.accept(ctx) })
	return p, nil
}

// Address is where it listens.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Set changes the mode. Connections that can not go on in the new one are reset.
func (p *Proxy) Set(m Mode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m == p.mode {
		return
	}
	if m == Refuse || m == Throttle || p.mode == Throttle {
		for c := range p.conns {
			reset(c)
		}
	}
	p.mode = m
	close(p.changed)
	p.changed = make(chan struct{})
}

// Close ends all connections and waits until nothing of the proxy runs.
func (p *Proxy) Close() error {
	err := p.listener.Close()
	p.end()
	p.mu.Lock()
	p.closed = true
	for c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.life.Wait()
	return err
}

// Count is how often a mode had an effect.
func (p *Proxy) Count(m Mode) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hits[m]
}

// now is the mode, and what is closed when it changes.
func (p *Proxy) now() (Mode, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mode, p.changed
}

func (p *Proxy) hit(m Mode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hits[m]++
}

func (p *Proxy) accept(ctx context.Context) {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.life.Go(func() { p.serve(ctx, c) })
	}
}

func (p *Proxy) serve(ctx context.Context, client net.Conn) {
	if !p.keep(client) {
		return
	}
	defer p.drop(client)
	switch m, _ := p.now(); m {
	case Refuse:
		p.hit(Refuse)
		reset(client)
		return
	case Throttle:
		p.refuseRequests(client)
		return
	}
	var d net.Dialer
	server, err := d.DialContext(ctx, "tcp", p.target)
	if err != nil || !p.keep(server) {
		reset(client)
		return
	}
	defer p.drop(server)
	l := &link{client: client, server: server, answered: make(chan struct{})}
	var up sync.WaitGroup
	up.Go(func() { p.carry(ctx, l, false) })
	p.carry(ctx, l, true)
	up.Wait()
}

// link is the two connections between which a proxy stands.
type link struct {
	client, server net.Conn
	catch          atomic.Pointer[Catch] // whose request is on it
	answered       chan struct{}         // closed when that was answered
}

// carry moves bytes from one side to the other until one of them has closed, and then closes both.
func (p *Proxy) carry(ctx context.Context, l *link, answers bool) {
	from, to, caught := l.client, l.server, p.caughtRequest
	if answers {
		from, to, caught = l.server, l.client, p.caughtAnswer
	}
	defer reset(to)
	defer reset(from)
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if p.admit(ctx, answers) != nil || caught(ctx, l, buffer[:n]) {
				return
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// admit waits until bytes may pass, or says that they may not.
func (p *Proxy) admit(ctx context.Context, answer bool) error {
	for {
		m, changed := p.now()
		switch {
		case m == Swallow:
			p.hit(Swallow)
			select {
			case <-changed:
				continue
			case <-ctx.Done():
				return errCut
			}
		case m == Lose && answer:
			p.hit(Lose)
			return errCut
		case m == Delay && answer:
			p.hit(Delay)
			return backoff.Wait(ctx, late)
		}
		return nil
	}
}

// keep notes a connection, so that it can be reset from outside.
func (p *Proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = c.Close()
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *Proxy) drop(c net.Conn) {
	_ = c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// reset closes a connection without a word.
func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // it may be closed
	}
	_ = c.Close()
}
