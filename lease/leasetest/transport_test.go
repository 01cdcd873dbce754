package leasetest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// web is a service that counts its requests, and a line to it.
func web(t *testing.T) (*atomic.Int64, *Transport, func(context.Context) (string, error)) {
	t.Helper()
	var seen atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		seen.Add(1)
		_, _ = w.Write(body)
	}))
	t.Cleanup(server.Close)
	line := NewTransport(server.Client().Transport, func(r *http.Request) *http.Response {
		return &http.Response{StatusCode: http.StatusTooManyRequests, Body: http.NoBody, Request: r}
	})
	client := &http.Client{Transport: line}
	return &seen, line, func(ctx context.Context) (string, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, strings.NewReader("hello"))
		if err != nil {
			return "", err
		}
		resp, err := client.Do(r)
		if err != nil {
			return "", err
		}
		body, err := io.ReadAll(resp.Body)
		return resp.Status + string(body), errors.Join(err, resp.Body.Close())
	}
}

func TestATransportWithoutAFaultIsNone(t *testing.T) {
	_, _, post := web(t)
	if answer, err := post(t.Context()); answer != "200 OKhello" || err != nil {
		t.Errorf("%q, %v", answer, err)
	}
}

func TestACutTransportSendsNothing(t *testing.T) {
	seen, line, post := web(t)
	line.Set(Cut)
	if answer, err := post(t.Context()); !errors.Is(err, syscall.ECONNREFUSED) || seen.Load() != 0 {
		t.Errorf("%q, %v, and %d requests arrived", answer, err, seen.Load())
	}
}

func TestATransportThatLosesAnswersSendsRequests(t *testing.T) {
	seen, line, post := web(t)
	line.Set(Lost)
	if answer, err := post(t.Context()); !errors.Is(err, io.ErrUnexpectedEOF) || seen.Load() != 1 {
		t.Errorf("%q, %v, and %d requests arrived", answer, err, seen.Load())
	}
}

func TestWhatATransportHoldsArrivesThoughItsSenderIsGone(t *testing.T) {
	seen, line, post := web(t)
	line.Set(Late)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if answer, err := post(ctx); !errors.Is(err, context.DeadlineExceeded) || seen.Load() != 0 {
		t.Errorf("%q, %v, and %d requests arrived", answer, err, seen.Load())
	}
	line.Set(None)
	if n := seen.Load(); n != 1 {
		t.Errorf("%d requests arrived when the line is sound; want 1", n)
	}
}

func TestWhoWaitsForWhatATransportHoldsHasTheAnswer(t *testing.T) {
	_, line, post := web(t)
	line.Set(Late)
	timer := time.AfterFunc(20*time.Millisecond, func() { line.Set(None) })
	defer timer.Stop()
	if answer, err := post(t.Context()); answer != "200 OKhello" || err != nil {
		t.Errorf("%q, %v", answer, err)
	}
}

func TestASlowTransportTakesItsTimeAndEndsWithItsContext(t *testing.T) {
	_, line, post := web(t)
	line.Set(Slow)
	begun := time.Now()
	if answer, err := post(t.Context()); answer != "200 OKhello" || err != nil || time.Since(begun) < SlowBy {
		t.Errorf("%q, %v after %v", answer, err, time.Since(begun))
	}
	ctx, cancel := context.WithTimeout(t.Context(), SlowBy/2)
	defer cancel()
	if answer, err := post(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%q, %v; want the end of the context", answer, err)
	}
}

func TestAThrottledTransportRefuses(t *testing.T) {
	seen, line, post := web(t)
	line.Set(Throttled)
	if answer, err := post(t.Context()); !strings.HasPrefix(answer, "429") && err != nil || seen.Load() != 0 {
		t.Errorf("%q, %v, and %d requests arrived", answer, err, seen.Load())
	}
}

func TestATransportKnowsThrottlingIfItIsToldHow(t *testing.T) {
	_, line, _ := web(t)
	if got := line.Faults(); len(got) != 6 {
		t.Errorf("%v", got)
	}
	if got := NewTransport(http.DefaultTransport, nil).Faults(); len(got) != 5 {
		t.Errorf("%v", got)
	}
}
