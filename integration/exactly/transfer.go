package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/runnelhq/runnel/internal/backoff"
)

// transfer is what a record holds: what examples/bank reads.
type transfer struct {
	From   string `json:"from" dynamodbav:"from"`
	Number int    `json:"number" dynamodbav:"number"`
	To     string `json:"to" dynamodbav:"to"`
	Amount int64  `json:"amount" dynamodbav:"amount"`
}

func (t transfer) name() string { return fmt.Sprintf("%s/%d", t.From, t.Number) }

// accounts is how many there are.
const accounts = 24

func account(i int) string { return fmt.Sprintf("account-%02d", i) }

// producer puts transfers, and knows those that were put.
type producer struct {
	put func(ctx context.Context, ts []transfer) error

	mu  sync.Mutex
	all []transfer
}

// Each call has transfers from so many accounts, one each, and comes so long after the one before.
const (
	each  = 8
	every = 100 * time.Millisecond
)

// run puts transfers until ctx ends. A call is never repeated, so that no transfer is there twice.
func (p *producer) run(ctx context.Context, seed uint64) error {
	r := rand.New(rand.NewPCG(seed, 0))
	numbers := make([]int, accounts)
	for next := 0; ; {
		ts := make([]transfer, each)
		for i := range ts {
			from := next % accounts
			next++
			numbers[from]++
			to := (from + 1 + r.IntN(accounts-1)) % accounts
			ts[i] = transfer{From: account(from), Number: numbers[from], To: account(to), Amount: 1 + r.Int64N(100)}
		}
		if err := p.put(context.WithoutCancel(ctx), ts); err != nil {
			return fmt.Errorf("put transfers: %w", err)
		}
		p.mu.Lock()
		p.all = append(p.all, ts...)
		p.mu.Unlock()
		if backoff.Wait(ctx, every) != nil {
			return nil
		}
	}
}

// transfers are those put so far.
func (p *producer) transfers() []transfer {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clip(p.all)
}
