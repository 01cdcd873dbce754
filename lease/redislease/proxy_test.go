//go:build engines

package redislease_test

import (
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy stands between clients and a server. It takes what a client sends at once for one request, as small ones are.
type proxy struct {
	t      *testing.T
	server string
	listen net.Listener
	serves sync.WaitGroup

	// on decides about a request before it is forwarded: an answer is given instead of the server's, and what is lost is forwarded, and its connection cut
	// when the answer comes.
	on func(request string) (answer string, lost bool)

	mu    sync.Mutex
	conns []net.Conn
}

// through is the URL of a new proxy before the shared server.
func through(t *testing.T, on func(request string) (answer string, lost bool)) (url string) {
	t.Helper()
	listen, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, server: server.Addr, listen: listen, on: on}
	p.serves.Go(p.accept)
	t.Cleanup(func() {
		_ = listen.Close()
		p.mu.Lock()
		for _, conn := range p.conns {
			_ = conn.Close()
		}
		p.mu.Unlock()
		p.serves.Wait()
	})
	return strings.Replace(server.URL, server.Addr, listen.Addr().String(), 1)
}

func (p *proxy) accept() {
	for {
		client, err := p.listen.Accept()
		if err != nil {
			return // closed
		}
		up, err := new(net.Dialer).DialContext(p.t.Context(), "tcp", p.server)
		if err != nil {
			_ = client.Close()
			return
		}
		p.mu.Lock()
		p.conns = append(p.conns, client, up)
		p.mu.Unlock()
		var losing atomic.Bool
		hang := func() { _ = errors.Join(client.Close(), up.Close()) }
		p.serves.Go(func() {
			defer hang()
			pump(client, func(request []byte) error {
				answer, lost := p.on(string(request))
				if answer != "" {
					_, err := client.Write([]byte(answer))
					return err
				}
				if lost {
					losing.Store(true)
				}
				_, err := up.Write(request)
				return err
			})
		})
		p.serves.Go(func() {
			defer hang()
			pump(up, func(answer []byte) error {
				if losing.Load() {
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

// first makes a proxy's decision about the first request that has the text, ever, and none about others. Made is whether it came to that.
func first(text, answer string) (on func(string) (string, bool), made *atomic.Bool) {
	made = &atomic.Bool{}
	return func(request string) (string, bool) {
		if !strings.Contains(strings.ToLower(request), text) || !made.CompareAndSwap(false, true) {
			return "", false
		}
		return answer, answer == ""
	}, made
}
