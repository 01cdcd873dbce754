package main

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/runnelhq/runnel/internal/backoff"
)

// mode is what a proxy does with what passes it.
type mode string

// The modes of a proxy.
const (
	pass     mode = "pass"
	refuse   mode = "refuse"   // connections are reset
	swallow  mode = "swallow"  // nothing is answered; what was sent meanwhile arrives when the mode ends, long after its sender gave it up
	lose     mode = "lose"     // requests arrive, and the connection is reset when their answer comes
	delay    mode = "delay"    // each part of an answer takes a while longer
	throttle mode = "throttle" // an HTTP server that refuses every request
)

// late is how much longer an answer takes in the mode delay.
const late = 250 * time.Millisecond

var errCut = errors.New("cut off")

// proxy stands between a worker and its store.
type proxy struct {
	listener net.Listener
	target   string
	end      context.CancelFunc
	life     sync.WaitGroup

	mu      sync.Mutex
	mode    mode
	changed chan struct{} // closed when the mode changes
	conns   map[net.Conn]struct{}
	closed  bool
	hits    map[mode]int // what was passed on, refused, lost …, by mode
}

// newProxy listens on loopback, until it is closed.
func newProxy(ctx context.Context, target string) (*proxy, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ctx, end := context.WithCancel(context.WithoutCancel(ctx))
	p := &proxy{
		listener: l, target: target, end: end, mode: pass,
		changed: make(chan struct{}), conns: make(map[net.Conn]struct{}), hits: make(map[mode]int),
	}
	p.life.Go(func() { p.accept(ctx) })
	return p, nil
}

func (p *proxy) address() string { return p.listener.Addr().String() }

// set changes the mode. Connections that can not go on in the new one are reset.
func (p *proxy) set(m mode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m == p.mode {
		return
	}
	if m == refuse || m == throttle || p.mode == throttle {
		for c := range p.conns {
			reset(c)
		}
	}
	p.mode = m
	close(p.changed)
	p.changed = make(chan struct{})
}

// close ends all connections and waits until nothing of the proxy runs.
func (p *proxy) close() error {
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

// count is how often a mode had an effect.
func (p *proxy) count(m mode) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hits[m]
}

// now is the mode, and what is closed when it changes.
func (p *proxy) now() (mode, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mode, p.changed
}

func (p *proxy) hit(m mode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hits[m]++
}

func (p *proxy) accept(ctx context.Context) {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.life.Go(func() { p.serve(ctx, c) })
	}
}

func (p *proxy) serve(ctx context.Context, client net.Conn) {
	if !p.keep(client) {
		return
	}
	defer p.drop(client)
	switch m, _ := p.now(); m {
	case refuse:
		p.hit(refuse)
		reset(client)
		return
	case throttle:
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
	var up sync.WaitGroup
	up.Go(func() { p.carry(ctx, server, client, false) })
	p.carry(ctx, client, server, true)
	up.Wait()
}

// carry moves bytes from one side to the other until one of them has closed, and then closes both.
func (p *proxy) carry(ctx context.Context, to, from net.Conn, answers bool) {
	defer reset(to)
	defer reset(from)
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if p.admit(ctx, answers) != nil {
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
func (p *proxy) admit(ctx context.Context, answer bool) error {
	for {
		m, changed := p.now()
		switch {
		case m == swallow:
			p.hit(swallow)
			select {
			case <-changed:
				continue
			case <-ctx.Done():
				return errCut
			}
		case m == lose && answer:
			p.hit(lose)
			return errCut
		case m == delay && answer:
			p.hit(delay)
			return backoff.Wait(ctx, late)
		}
		return nil
	}
}

// keep notes a connection, so that it can be reset from outside.
func (p *proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = c.Close()
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *proxy) drop(c net.Conn) {
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
