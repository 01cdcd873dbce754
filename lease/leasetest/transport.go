package leasetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"syscall"

	"github.com/runnelhq/runnel/internal/backoff"
)

// Transport is a [Line] of HTTP requests. The client of a store is given it for its transport. It is safe for concurrent use.
type Transport struct {
	next      http.RoundTripper
	throttled func(*http.Request) *http.Response

	mu       sync.Mutex
	fault    Fault
	released chan struct{} // closed when what is late may arrive; nil unless fault is Late
	late     sync.WaitGroup
}

// NewTransport is a line to next. A nil throttled leaves [Throttled] out; otherwise it is how the service refuses a request because there are too many.
func NewTransport(next http.RoundTripper, throttled func(*http.Request) *http.Response) *Transport {
	return &Transport{next: next, throttled: throttled}
}

// Faults are all of them, [Throttled] if the service's refusal is known.
func (t *Transport) Faults() []Fault {
	if t.throttled == nil {
		return []Fault{None, Cut, Lost, Late, Slow}
	}
	return []Fault{None, Cut, Lost, Late, Slow, Throttled}
}

// Set is as [Line] has it.
func (t *Transport) Set(f Fault) {
	t.mu.Lock()
	t.fault = f
	if t.released != nil {
		close(t.released)
		t.released = nil
	}
	if f == Late {
		t.released = make(chan struct{})
	}
	t.mu.Unlock()
	if f != Late {
		t.late.Wait()
	}
}

var (
	errCut  = fmt.Errorf("leasetest: the line is cut: %w", syscall.ECONNREFUSED)
	errLost = fmt.Errorf("leasetest: the answer is lost: %w", io.ErrUnexpectedEOF)
)

// RoundTrip is as [http.RoundTripper] has it.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	t.mu.Lock()
	fault, released := t.fault, t.released
	if fault == Late {
		t.late.Add(1)
	}
	t.mu.Unlock()
	switch fault {
	case Cut:
		return nil, errors.Join(errCut, closeBody(r))
	case Throttled:
		return t.throttled(r), closeBody(r)
	case Late:
		return t.sendLate(r, released)
	}
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	fault = t.fault
	t.mu.Unlock()
	switch fault {
	case Cut, Lost:
		return nil, errors.Join(errLost, discard(resp))
	case Slow:
		if err := backoff.Wait(r.Context(), SlowBy); err != nil {
			return nil, errors.Join(err, discard(resp))
		}
	}
	return resp, nil
}

// sendLate sends r when it is released, whether its sender waits for the answer or not.
func (t *Transport) sendLate(r *http.Request, released <-chan struct{}) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		body, err = io.ReadAll(r.Body)
		if err = errors.Join(err, closeBody(r)); err != nil {
			t.late.Done()
			return nil, err
		}
	}
	type answer struct {
		resp *http.Response
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		defer t.late.Done()
		<-released
		again := r.Clone(context.WithoutCancel(r.Context()))
		again.Body = io.NopCloser(bytes.NewReader(body))
		resp, err := t.next.RoundTrip(again)
		if err == nil {
			var text []byte
			text, err = io.ReadAll(resp.Body)
			err = errors.Join(err, resp.Body.Close())
			resp.Body = io.NopCloser(bytes.NewReader(text))
		}
		answers <- answer{resp, err}
	}()
	select {
	case a := <-answers:
		return a.resp, a.err
	case <-r.Context().Done():
		return nil, context.Cause(r.Context())
	}
}

func closeBody(r *http.Request) error {
	if r.Body == nil {
		return nil
	}
	return r.Body.Close()
}

// discard reads an answer to its end: the service has carried out the request by then.
func discard(resp *http.Response) error {
	_, err := io.Copy(io.Discard, resp.Body)
	return errors.Join(err, resp.Body.Close())
}
