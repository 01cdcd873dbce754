//go:build engines

package sqllease_test

import (
	"bytes"
	"errors"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// wire carries connections to a server, until it is told to do otherwise.
type wire struct {
	listener net.Listener
	to       string
	ended    sync.WaitGroup

	cutAfter atomic.Pointer[string] // ends a connection when its client has sent this, and withholds the answer
	dead     atomic.Bool            // carries nothing more, and closes nothing

	mu    sync.Mutex
	conns []net.Conn
}

// newWire is a wire to the server of an address, and the address of its other end.
func newWire(t *testing.T, address string) (w *wire, through string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	w = &wire{to: u.Host}
	if w.listener, err = new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	w.ended.Go(w.accept)
	t.Cleanup(func() {
		_ = w.listener.Close()
		w.cut()
		w.ended.Wait()
	})
	u.Host = w.listener.Addr().String()
	return w, u.String()
}

// cut ends every connection.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		_ = c.Close()
	}
}

func (w *wire) accept() {
	for {
		client, err := w.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", w.to) //nolint:noctx // loopback
		if err != nil {
			_ = client.Close()
			continue
		}
		w.mu.Lock()
		w.conns = append(w.conns, client, server)
		w.mu.Unlock()
		var withheld atomic.Bool
		w.ended.Go(func() { w.carry(client, server, &withheld) })
		w.ended.Go(func() { w.answer(server, client, &withheld) })
	}
}

// carry brings what a client sends.
func (w *wire) carry(client, server net.Conn, withheld *atomic.Bool) {
	defer func() {
		if !w.dead.Load() {
			_ = errors.Join(client.Close(), server.Close())
		}
	}()
	b := make([]byte, 64<<10)
	for {
		n, err := client.Read(b)
		if err != nil {
			return
		}
		if w.dead.Load() {
			continue
		}
		if text := w.cutAfter.Load(); text != nil && bytes.Contains(b[:n], []byte(*text)) {
			withheld.Store(true)
			w.cutAfter.Store(nil)
		}
		if _, err := server.Write(b[:n]); err != nil {
			return
		}
	}
}

// answer brings what the server says. Instead of an answer that is to be withheld the connection ends.
func (w *wire) answer(server, client net.Conn, withheld *atomic.Bool) {
	defer func() {
		if !w.dead.Load() {
			_ = errors.Join(client.Close(), server.Close())
		}
	}()
	b := make([]byte, 64<<10)
	for {
		n, err := server.Read(b)
		if err != nil || withheld.Load() {
			return
		}
		if w.dead.Load() {
			continue
		}
		if _, err := client.Write(b[:n]); err != nil {
			return
		}
	}
}
