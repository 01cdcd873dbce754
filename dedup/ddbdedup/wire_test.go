//go:build engines

package ddbdedup_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
)

// part is what of a write is lost.
type part int

const (
	nothing part = iota
	request
	answer
)

// wire is between sinks and their database. It loses some requests and answers.
type wire struct {
	mu    sync.Mutex
	down  bool
	loses part
	then  func()
	// each, if it is there, is called in the place of sending each write, and sends it, or not.
	each func(op string, body []byte, send func([]byte) (*http.Response, error)) (*http.Response, error)
}

// lose has the next write, or the answer to it, be lost; before its sender learns of that, then is called if it is not nil.
func (w *wire) lose(p part, then func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.loses, w.then = p, then
}

// cut has no request be sent.
func (w *wire) cut(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = down
}

// on has f send each write.
func (w *wire) on(f func(op string, body []byte, send func([]byte) (*http.Response, error)) (*http.Response, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.each = f
}

var (
	errDown = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	errLost = fmt.Errorf("the connection has ended: %w", io.ErrUnexpectedEOF)
)

func (w *wire) through(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		body, err := io.ReadAll(r.Body)
		if err = errors.Join(err, r.Body.Close()); err != nil {
			return nil, err
		}
		write := op == "TransactWriteItems" || op == "PutItem" || op == "UpdateItem" || op == "BatchExecuteStatement"
		w.mu.Lock()
		down, loses, each, then := w.down, nothing, w.each, w.then
		if write && !down {
			loses, w.loses, w.then = w.loses, nothing, nil
		}
		w.mu.Unlock()
		send := func(body []byte) (*http.Response, error) {
			r := r.Clone(r.Context())
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			return next.RoundTrip(r)
		}
		switch {
		case down:
			return nil, errDown
		case loses != nothing:
			if loses == answer {
				resp, err := send(body)
				if err != nil {
					return nil, err
				}
				_, err = io.Copy(io.Discard, resp.Body)
				if err = errors.Join(err, resp.Body.Close()); err != nil {
					return nil, err
				}
			}
			if then != nil {
				then()
			}
			return nil, errLost
		case write && each != nil:
			return each(op, body, send)
		}
		return send(body)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// denied refuses who asks.
func denied(string, []byte, func([]byte) (*http.Response, error)) (*http.Response, error) {
	return errorAnswer(`{"__type":"com.amazon.coral.service#AccessDeniedException","message":"not authorized"}`)
}
