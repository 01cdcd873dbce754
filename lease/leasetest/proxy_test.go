package leasetest

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// lineServer answers each line with itself, and keeps all.
type lineServer struct {
	net.Listener

	mu    sync.Mutex
	lines []string
	wg    sync.WaitGroup
}

func newLineServer(t *testing.T) *lineServer {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &lineServer{Listener: listener}
	s.wg.Go(func() {
		for {
			conn, err := s.Accept()
			if err != nil {
				return
			}
			s.wg.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		s.wg.Wait()
	})
	return s
}

func (s *lineServer) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		s.mu.Lock()
		s.lines = append(s.lines, lines.Text())
		s.mu.Unlock()
		if _, err := io.WriteString(conn, lines.Text()+"\n"); err != nil {
			return
		}
	}
}

func (s *lineServer) seen() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.lines)
}

// throughProxy is a server and a connection to it through a proxy, which has carried a line.
func throughProxy(t *testing.T) (*lineServer, *Proxy, net.Conn) {
	t.Helper()
	server := newLineServer(t)
	p, err := NewProxy(server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	conn := dial(t, p)
	if answer, err := ask(t, conn); err != nil {
		t.Fatalf("%q, %v", answer, err)
	}
	return server, p, conn
}

func dial(t *testing.T, p *Proxy) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// askAnew asks on a new connection, which may be reset while it is made.
func askAnew(t *testing.T, p *Proxy) (string, error) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", p.Addr())
	if err != nil {
		return "", err
	}
	answer, err := ask(t, conn)
	return answer, errors.Join(err, conn.Close())
}

// ask sends a line and waits for its answer.
func ask(t *testing.T, conn net.Conn) (string, error) {
	t.Helper()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "line\n"); err != nil {
		return "", err
	}
	return bufio.NewReader(conn).ReadString('\n')
}

func TestACutProxyEndsAndRefusesConnections(t *testing.T) {
	server, p, conn := throughProxy(t)
	p.Set(Cut)
	if answer, err := ask(t, conn); err == nil {
		t.Errorf("%q on a connection that was cut", answer)
	}
	if answer, err := askAnew(t, p); err == nil {
		t.Errorf("%q on a new connection", answer)
	}
	if n := server.seen(); n != 1 {
		t.Errorf("the service has seen %d lines; want none while the line was cut", n-1)
	}
	p.Set(None)
	if answer, err := askAnew(t, p); err != nil {
		t.Errorf("%q, %v on a sound line", answer, err)
	}
}

func TestACutProxyEndsConnectionsThatAreAtRest(t *testing.T) {
	_, p, conn := throughProxy(t)
	p.Set(Cut)
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v; want the end of the connection", err)
	}
}

func TestAProxyThatLosesAnswersCarriesRequests(t *testing.T) {
	server, p, conn := throughProxy(t)
	p.Set(Lost)
	if answer, err := ask(t, conn); err == nil {
		t.Errorf("%q; want no answer", answer)
	}
	if n := server.seen(); n != 2 {
		t.Errorf("the service has seen %d lines; want 2", n)
	}
}

func TestWhatAProxyHoldsArrivesThoughItsSenderIsGone(t *testing.T) {
	server, p, conn := throughProxy(t)
	waiting := dial(t, p)
	p.Set(Late)
	if _, err := io.WriteString(conn, "line\n"); err != nil {
		t.Fatal(err)
	}
	answers := make(chan error, 1)
	go func() {
		_, err := ask(t, waiting)
		answers <- err
	}()
	for held := 0; held < 2; {
		p.mu.Lock()
		held = 0
		for l := range p.links {
			if l.answered != nil {
				held++
			}
		}
		p.mu.Unlock()
		if t.Context().Err() != nil {
			t.Fatal("nothing is held")
		}
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if n := server.seen(); n != 1 {
		t.Fatalf("the service has seen %d lines; want none that is late", n-1)
	}
	p.Set(None)
	if n := server.seen(); n != 3 {
		t.Errorf("the service has seen %d lines when the line is sound; want 3", n)
	}
	if err := <-answers; err != nil {
		t.Errorf("who waited has no answer: %v", err)
	}
}

// A client that has said all that it will say still hears the answer, and then the service's end.
func TestAProxyCarriesTheAnswerToWhoSaysNoMore(t *testing.T) {
	_, p, _ := throughProxy(t)
	for range 20 {
		conn := dial(t, p).(*net.TCPConn)
		if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		_, err := io.WriteString(conn, "line\n")
		if err := errors.Join(err, conn.CloseWrite()); err != nil {
			t.Fatal(err)
		}
		if answer, err := io.ReadAll(conn); err != nil || string(answer) != "line\n" {
			t.Fatalf("%q, %v; want the line and the end", answer, err)
		}
	}
}

func TestASlowProxyTakesItsTime(t *testing.T) {
	_, p, conn := throughProxy(t)
	p.Set(Slow)
	begun := time.Now()
	if answer, err := ask(t, conn); err != nil || time.Since(begun) < SlowBy {
		t.Errorf("%q, %v after %v; want the answer after %v", answer, err, time.Since(begun), SlowBy)
	}
}

func TestAProxyToNowhereRefuses(t *testing.T) {
	nobody, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := nobody.Addr().String()
	if err := nobody.Close(); err != nil {
		t.Fatal(err)
	}
	p, err := NewProxy(addr)
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := askAnew(t, p); err == nil {
		t.Errorf("%q from nobody", answer)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}
