//go:build engines

package redisdedup_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// writing is what a request has of a script that writes.
const writing = "$5\r\nwrite\r\n"

// fate is what a proxy does with a request.
type fate struct {
	answer string // given instead of the server's
	drop   bool   // it does not arrive, and its connection is cut
	lose   bool   // it arrives, and its connection is cut when the answer comes
	then   func() // called before the connection is cut
}

// proxy stands between clients and a server. It takes what a client sends at once for one request, as small ones are.
type proxy struct {
	t      *testing.T
	server string
	listen net.Listener
	serves sync.WaitGroup

	mu    sync.Mutex
	on    func(request string) fate // nil: requests are forwarded
	down  bool
	conns []net.Conn
}

// newProxy is one before a server, and the URL of it.
func newProxy(t *testing.T, addr string) (p *proxy, url string) {
	t.Helper()
	listen, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p = &proxy{t: t, server: addr, listen: listen}
	p.serves.Go(p.accept)
	t.Cleanup(func() {
		_ = listen.Close()
		p.cut(true)
		p.serves.Wait()
	})
	return p, "redis://" + listen.Addr().String()
}

// cut ends all connections, and has new ones end at once while down.
func (p *proxy) cut(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
	for _, conn := range p.conns {
		_ = conn.Close()
	}
	p.conns = nil
}

// next has the next request that has the text meet a fate, and tells whether it came.
func (p *proxy) next(text string, f fate) (made *atomic.Bool) {
	made = &atomic.Bool{}
	p.set(func(request string) fate {
		if !strings.Contains(strings.ToLower(request), text) || !made.CompareAndSwap(false, true) {
			return fate{}
		}
		return f
	})
	return made
}

func (p *proxy) set(on func(string) fate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.on = on
}

func (p *proxy) decide(request string) fate {
	p.mu.Lock()
	on := p.on
	p.mu.Unlock()
	if on == nil {
		return fate{}
	}
	return on(request)
}

// open connects a client to the server, unless it is down.
func (p *proxy) open(client net.Conn) net.Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		return nil
	}
	up, err := new(net.Dialer).DialContext(context.Background(), "tcp", p.server)
	if err != nil {
		return nil
	}
	p.conns = append(p.conns, client, up)
	return up
}

func (p *proxy) accept() {
	for {
		client, err := p.listen.Accept()
		if err != nil {
			return // closed
		}
		up := p.open(client)
		if up == nil {
			_ = client.Close()
			continue
		}
		var losing atomic.Pointer[fate]
		hang := func() { _ = errors.Join(client.Close(), up.Close()) }
		p.serves.Go(func() {
			defer hang()
			pump(client, func(request []byte) error {
				f := p.decide(string(request))
				switch {
				case f.answer != "":
					_, err := client.Write([]byte(f.answer))
					return err
				case f.drop:
					if f.then != nil {
						f.then()
					}
					return net.ErrClosed
				case f.lose:
					losing.Store(&f)
				}
				_, err := up.Write(request)
				return err
			})
		})
		p.serves.Go(func() {
			defer hang()
			pump(up, func(answer []byte) error {
				if f := losing.Load(); f != nil {
					if f.then != nil {
						f.then()
					}
					return net.ErrClosed
				}
				_, err := client.Write(answer)
				return err
			})
		})
	}
}

// pump gives what comes to f, until either has an error.
func pump(from net.Conn, f func([]byte) error) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil || f(buffer[:n]) != nil {
			return
		}
	}
}
