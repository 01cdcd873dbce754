package main

import (
	"maps"
	"net/http"
	"path"
	"strings"
	"sync"
)

// wire counts requests by their operation, retries too.
type wire struct {
	mu    sync.Mutex
	calls map[string]int64
}

// through is for [localstack.Clients.Through].
func (w *wire) through(next http.RoundTripper) http.RoundTripper { return counting{w, next} }

type counting struct {
	wire *wire
	next http.RoundTripper
}

func (c counting) RoundTrip(r *http.Request) (*http.Response, error) {
	_, op, ok := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if !ok { // rpc-v2: /service/NAME/operation/OPERATION
		op = path.Base(r.URL.Path)
	}
	c.wire.mu.Lock()
	if c.wire.calls == nil {
		c.wire.calls = make(map[string]int64)
	}
	c.wire.calls[op]++
	c.wire.mu.Unlock()
	return c.next.RoundTrip(r)
}

func (w *wire) snapshot() map[string]int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.calls)
}

// since is what was counted after an earlier snapshot.
func (w *wire) since(before map[string]int64) map[string]int64 {
	now := w.snapshot()
	for op, n := range before {
		now[op] -= n
	}
	return now
}
