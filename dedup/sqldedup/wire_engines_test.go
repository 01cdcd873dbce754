//go:build engines

package sqldedup_test

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
	losing   atomic.Pointer[loss] // what is to become of the next COMMIT

	mu    sync.Mutex
	down  bool
	conns map[net.Conn]struct{}
}

// loss is of one COMMIT. The connection ends, and then is called before its client knows.
type loss struct {
	answer bool // it is carried out, or does not arrive
	then   func()
	later  <-chan struct{} // if it is not nil, the client's end is cut at once, and the COMMIT arrives when this is closed
}

// newWire is a wire to the server of an address, and the address of its other end.
func newWire(t *testing.T, address string) (w *wire, through string) {
	t.Helper()
	u, err := url.Parse(address)
	must(t, err)
	w = &wire{to: u.Host, conns: map[net.Conn]struct{}{}}
	w.listener, err = new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	w.ended.Go(w.accept)
	t.Cleanup(func() {
		_ = w.listener.Close()
		w.set(true)
		w.ended.Wait()
	})
	u.Host = w.listener.Addr().String()
	return w, u.String()
}

// set ends every connection and makes no more, or makes them again.
func (w *wire) set(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = down
	for c := range w.conns {
		if down {
			_ = c.Close()
		}
	}
}

// lose has the next COMMIT lost.
func (w *wire) lose(answer bool, then func()) { w.losing.Store(&loss{answer: answer, then: then}) }

// delay has the next COMMIT arrive when later is closed. Its client's connection ends before.
func (w *wire) delay(later <-chan struct{}) { w.losing.Store(&loss{answer: true, later: later}) }

// add notes connections that set is to end, and tells whether they may go on.
func (w *wire) add(conns ...net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range conns {
		if w.down {
			_ = c.Close()
		} else {
			w.conns[c] = struct{}{}
		}
	}
	return !w.down
}

func (w *wire) remove(conns ...net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
		delete(w.conns, c)
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
		if !w.add(client, server) {
			continue
		}
		lost := make(chan *loss, 1)
		w.ended.Go(func() {
			defer w.remove(server)
			w.carry(client, server, lost)
		})
		w.ended.Go(func() {
			defer w.remove(client)
			_ = answer(server, client, lost)
		})
	}
}

// carry brings what a client sends. A statement comes in one message here.
func (w *wire) carry(client, server net.Conn, lost chan<- *loss) {
	b := make([]byte, 64<<10)
	for {
		n, err := client.Read(b)
		if err != nil {
			return
		}
		if l := w.losing.Load(); l != nil && bytes.Contains(bytes.ToLower(b[:n]), []byte("commit\x00")) && w.losing.CompareAndSwap(l, nil) {
			lost <- l
			if !l.answer {
				return
			}
			if l.later != nil {
				_ = client.Close()
				<-l.later
			}
		}
		if _, err := server.Write(b[:n]); err != nil {
			return
		}
	}
}

// answer brings what the server says, but not what is to be lost.
func answer(server, client net.Conn, lost <-chan *loss) error {
	b := make([]byte, 64<<10)
	for {
		n, err := server.Read(b)
		select {
		case l := <-lost:
			if l.then != nil {
				l.then()
			}
			return errors.New("lost")
		default:
		}
		if err != nil {
			return err
		}
		if _, err := client.Write(b[:n]); err != nil {
			return err
		}
	}
}
