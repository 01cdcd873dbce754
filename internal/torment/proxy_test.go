package torment

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// echo answers what it is sent, and counts it.
func echo(t *testing.T) (address string, heard *atomic.Int64) {
	t.Helper()
	heard = new(atomic.Int64)
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				b := make([]byte, 1)
				for {
					if _, err := c.Read(b); err != nil {
						_ = c.Close()
						return
					}
					heard.Add(1)
					if _, err := c.Write(b); err != nil {
						_ = c.Close()
						return
					}
				}
			}()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-gone
	})
	return l.Addr().String(), heard
}

func proxyTo(t *testing.T, target string) *Proxy {
	t.Helper()
	p, err := NewProxy(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func dial(t *testing.T, p *Proxy) net.Conn {
	t.Helper()
	c, err := dialed(t, p)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func dialed(t *testing.T, p *Proxy) (net.Conn, error) {
	t.Helper()
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", p.Address())
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, nil
}

// ask sends a byte and waits for so long for it to come back.
func ask(t *testing.T, c net.Conn, wait time.Duration) error {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	if _, err := c.Write([]byte("x")); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 1))
	return err
}

const brief, ample = 100 * time.Millisecond, 10 * time.Second

func TestProxyPasses(t *testing.T) {
	target, _ := echo(t)
	if err := ask(t, dial(t, proxyTo(t, target)), ample); err != nil {
		t.Error(err)
	}
}

func TestProxyRefuses(t *testing.T) {
	target, heard := echo(t)
	p := proxyTo(t, target)
	before := dial(t, p)
	if err := ask(t, before, ample); err != nil {
		t.Fatal(err)
	}
	p.Set(Refuse)
	if err := ask(t, before, ample); err == nil {
		t.Error("a connection of before goes on")
	}
	if c, err := dialed(t, p); err == nil && ask(t, c, ample) == nil { // it may be reset before it is known to be there
		t.Error("a new connection was served")
	}
	if heard.Load() != 1 {
		t.Errorf("the server heard %d times, want once", heard.Load())
	}
	p.Set(Pass)
	if err := ask(t, dial(t, p), ample); err != nil {
		t.Errorf("after it: %v", err)
	}
}

func TestProxySwallowsAndDeliversLate(t *testing.T) {
	target, heard := echo(t)
	p := proxyTo(t, target)
	c := dial(t, p)
	if err := ask(t, c, ample); err != nil {
		t.Fatal(err)
	}
	p.Set(Swallow)
	if err := ask(t, c, brief); err == nil {
		t.Fatal("it was answered")
	}
	if heard.Load() != 1 {
		t.Fatal("the server heard it")
	}
	_ = c.Close() // its sender gave up
	p.Set(Pass)
	tick, over := time.NewTicker(time.Millisecond), time.After(ample)
	defer tick.Stop()
	for heard.Load() != 2 {
		select {
		case <-tick.C:
		case <-over:
			t.Fatal("what was sent did not arrive late")
		}
	}
}

func TestProxyLosesAnswers(t *testing.T) {
	target, heard := echo(t)
	p := proxyTo(t, target)
	p.Set(Lose)
	if err := ask(t, dial(t, p), ample); err == nil {
		t.Error("it was answered")
	}
	if heard.Load() != 1 || p.Count(Lose) != 1 {
		t.Errorf("the server heard %d times, %d answers were lost", heard.Load(), p.Count(Lose))
	}
}

func TestProxyDelays(t *testing.T) {
	target, _ := echo(t)
	p := proxyTo(t, target)
	p.Set(Delay)
	begun := time.Now()
	if err := ask(t, dial(t, p), ample); err != nil || time.Since(begun) < late {
		t.Errorf("answered after %v, %v", time.Since(begun), err)
	}
}

func TestProxyThrottles(t *testing.T) {
	served := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "served") }))
	t.Cleanup(served.Close)
	p := proxyTo(t, strings.TrimPrefix(served.URL, "http://"))
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	call := func() (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+p.Address(), strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(text)
	}
	p.Set(Throttle)
	for range 2 { // on one connection
		if status, text := call(); status != http.StatusBadRequest || !strings.Contains(text, "ProvisionedThroughputExceededException") {
			t.Errorf("answered %d %s", status, text)
		}
	}
	p.Set(Pass)
	client.CloseIdleConnections() // as a client does that finds it reset
	if status, text := call(); status != http.StatusOK || text != "served" {
		t.Errorf("after it: %d %s", status, text)
	}
}

func TestProxyOutlivesTheContextThatMadeIt(t *testing.T) {
	target, _ := echo(t)
	ctx, end := context.WithCancel(t.Context())
	p, err := NewProxy(ctx, target)
	if err != nil {
		t.Fatal(err)
	}
	end()
	if err := ask(t, dial(t, p), ample); err != nil {
		t.Error(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}
