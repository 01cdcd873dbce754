package consumer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"golang.org/x/time/rate"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/circuit"
	"github.com/runnelhq/runnel/consumer/ratelimit"
	"github.com/runnelhq/runnel/lease/memlease"
)

// With PerKey a key that fails holds up itself alone, and each key keeps its order.
func ExampleOrder() {
	done, failed := make(chan struct{}), false
	cfg := consumer.Config{
		Name: "shop", Source: texts("anna: tea", "anna: milk", "bert: bread"), Leases: memlease.New(), Timing: brisk,
		Failure: consumer.Failure{Backoff: time.Millisecond},
		Handler: consumer.Each(func(_ context.Context, r consumer.Record) error {
			if string(r.Data) == "anna: tea" && !failed {
				failed = true
				fmt.Println("anna: tea fails")
				return consumer.RetryAfter(50*time.Millisecond, errors.New("try me later"))
			}
			fmt.Printf("%s\n", r.Data)
			if string(r.Data) == "anna: milk" {
				close(done)
			}
			return nil
		}),
	}
	cfg.Order = consumer.Order{
		By:      consumer.PerKey,
		Workers: 1, // of the process, 100 by default: here one, for an output that is the same each time
	}
	runUntil(done, made(cfg))
	// Output:
	// anna: tea fails
	// bert: bread
	// anna: tea
	// anna: milk
}

// A key that is inside the payload.
func ExampleOrder_key() {
	order := consumer.Order{
		By: consumer.PerKey,
		Key: func(r consumer.Record) (string, error) {
			var o struct{ Customer string }
			err := json.Unmarshal(r.Data, &o)
			return o.Customer, err
		},
	}
	key, err := order.Key(consumer.Record{Data: []byte(`{"customer": "anna"}`)})
	fmt.Println(key, err)
	// Output: anna <nil>
}

// A handler that hands its records on keeps them, with their keys, until the work is done.
func ExampleDefer() {
	done := make(chan struct{})
	cfg := consumer.Config{Name: "shop", Source: texts("anna: tea", "anna: milk"), Leases: memlease.New(), Timing: brisk}
	cfg.Order = consumer.Order{By: consumer.PerKey}
	send := func(text []byte) {
		fmt.Printf("%s is sent\n", text)
		if string(text) == "anna: milk" {
			close(done)
		}
	}
	var sending sync.WaitGroup
	cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
		kept := consumer.Defer(r)
		sending.Go(func() {
			send(r.Data) // which is lent until Done
			if err := kept.Done(); err != nil {
				fmt.Println("it will come again:", err)
			}
		})
		return nil
	})
	runUntil(done, made(cfg))
	sending.Wait()
	// Output:
	// anna: tea is sent
	// anna: milk is sent
}

// A service that bears 500 records a second, and is left alone for half a minute when five calls in a row failed.
func ExampleFlow() {
	breaker := circuitbreaker.NewBuilder[any]().WithFailureThreshold(5).WithDelay(30 * time.Second).Build()
	flow := consumer.Flow{
		Limiter: ratelimit.Records(rate.NewLimiter(500, 50)),
		Breaker: circuit.New(breaker),
	}
	fmt.Println("open:", flow.Breaker.Open())
	// Output: open: false
}
