package torment

import (
	"testing"
	"time"

	"github.com/runnelhq/runnel/internal/backoff"
)

func all([]byte) bool { return true }

// A request whose answer is caught has arrived, and its sender finds the connection broken; the next connection is as any other.
func TestCatchTakesAnAnswer(t *testing.T) {
	target, heard := echo(t)
	p := proxyTo(t, target)
	c := &Catch{Match: all}
	p.Catch(c)
	conn := dial(t, p)
	if err := ask(t, conn, brief); err == nil {
		t.Error("the answer came")
	}
	<-c.Caught()
	if n := heard.Load(); n != 1 {
		t.Errorf("the server heard %d times, want once", n)
	}
	c.Release()
	if err := conn.SetDeadline(time.Now().Add(ample)); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); err == nil {
		t.Errorf("the answer came late: %d bytes", n)
	}
	if err := ask(t, dial(t, p), ample); err != nil {
		t.Errorf("after it: %v", err)
	}
}

// A request that is late arrives when its sender has lost the connection.
func TestCatchDelaysARequest(t *testing.T) {
	target, heard := echo(t)
	p := proxyTo(t, target)
	c := &Catch{Match: all, Late: true}
	p.Catch(c)
	if err := ask(t, dial(t, p), ample); err == nil {
		t.Error("an answer came")
	}
	<-c.Caught()
	if n := heard.Load(); n != 0 {
		t.Errorf("the server heard %d times, want not yet", n)
	}
	c.Release()
	for heard.Load() == 0 {
		if err := backoff.Wait(t.Context(), time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
}

// Only what matches is caught, and nothing when it is forgotten.
func TestCatchIsForgotten(t *testing.T) {
	target, _ := echo(t)
	p := proxyTo(t, target)
	p.Catch(&Catch{Match: func(part []byte) bool { return string(part) != "x" }})
	conn := dial(t, p)
	if err := ask(t, conn, ample); err != nil {
		t.Errorf("what does not match: %v", err)
	}
	c := &Catch{Match: all}
	p.Catch(c)
	p.Forget(c)
	if err := ask(t, conn, ample); err != nil {
		t.Errorf("forgotten: %v", err)
	}
}
