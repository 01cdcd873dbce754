package main

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
)

// provider is a payment API as it should be: it charges once for a key, and gives the answer again to who asks again.
type provider struct {
	keep int // the order whose first answer is kept back

	mu      sync.Mutex
	kept    bool
	known   map[string]bool  // keys
	asked   map[int][]string // by order: the keys of all requests
	charged map[int]int      // by order: how many charges there are
}

func newProvider(keep int) *provider {
	return &provider{keep: keep, known: make(map[string]bool), asked: make(map[int][]string), charged: make(map[int]int)}
}

// ServeHTTP takes the request for a charge.
func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var o order
	key := r.Header.Get("Idempotency-Key")
	if err := json.NewDecoder(r.Body).Decode(&o); err != nil || key == "" {
		http.Error(w, "a charge needs an order and a key", http.StatusBadRequest)
		return
	}
	if p.charge(key, o) {
		<-r.Context().Done() // whoever asked is gone, and never hears of it
	}
}

// charge charges an order, unless the key is known. It tells whether the answer is kept back.
func (p *provider) charge(key string, o order) (kept bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked[o.Number] = append(p.asked[o.Number], key)
	if p.known[key] {
		return false
	}
	p.known[key] = true
	p.charged[o.Number]++
	if p.kept || o.Number != p.keep {
		return false
	}
	p.kept = true
	return true
}

// keeps tells whether an order is charged whose answer is kept back.
func (p *provider) keeps(context.Context) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.kept, nil
}
