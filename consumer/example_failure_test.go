package consumer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/memsource"
	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/deadletter/memletters"
	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/memlease"
)

// texts is a stream of one shard that holds such records as "anna: tea", by the key before the colon.
func texts(all ...string) *memsource.Source {
	source := memsource.New("orders", nil)
	for _, text := range all {
		key, _, _ := strings.Cut(text, ":")
		if _, _, err := source.Put(key, []byte(text)); err != nil {
			panic(err)
		}
	}
	return source
}

// brisk is for examples, which nobody shall wait for.
var brisk = lease.Timing{Heartbeat: 50 * time.Millisecond, Poll: 20 * time.Millisecond, Request: 50 * time.Millisecond, Expiry: 500 * time.Millisecond}

// runUntil runs a consumer until done is closed, for a minute at most.
func runUntil(done <-chan struct{}, c *consumer.Consumer) {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	go func() {
		select {
		case <-done:
			stop()
		case <-ctx.Done():
			panic("not done within a minute")
		}
	}()
	if err := c.Run(ctx); err != nil {
		panic(err)
	}
}

func made(cfg consumer.Config) *consumer.Consumer {
	c, err := consumer.New(cfg)
	if err != nil {
		panic(err)
	}
	return c
}

// Without a policy a record is tried until it succeeds, and what is behind it in its shard waits.
func ExampleFailure() {
	done := make(chan struct{})
	c := made(consumer.Config{
		Name: "shop", Source: texts("anna: tea", "bert: milk"), Leases: memlease.New(), Timing: brisk,
		Failure: consumer.Failure{Backoff: time.Millisecond},
		Handler: consumer.Each(func(_ context.Context, r consumer.Record) error {
			if r.Key == "anna" && r.Attempt < 3 {
				fmt.Printf("%s, attempt %d: the database is away\n", r.Data, r.Attempt)
				return errors.New("the database is away")
			}
			fmt.Printf("%s, attempt %d: done\n", r.Data, r.Attempt)
			if r.Key == "bert" {
				close(done)
			}
			return nil
		}),
	})
	runUntil(done, c)
	// Output:
	// anna: tea, attempt 1: the database is away
	// anna: tea, attempt 2: the database is away
	// anna: tea, attempt 3: done
	// bert: milk, attempt 1: done
}

// Skip passes over a record. Hooks.GivenUp is all that stays of it.
func ExampleFailure_skip() {
	done := make(chan struct{})
	cfg := consumer.Config{
		Name: "shop", Source: texts("anna: poison", "anna: tea"), Leases: memlease.New(), Timing: brisk,
		Handler: consumer.Each(func(_ context.Context, r consumer.Record) error {
			if strings.HasSuffix(string(r.Data), "poison") {
				return errors.New("no such item")
			}
			fmt.Printf("%s: done\n", r.Data)
			close(done)
			return nil
		}),
	}
	cfg.Failure = consumer.Failure{
		MaxAttempts: 3,
		Then:        consumer.Skip,
	}
	cfg.Hooks.GivenUp = func(e consumer.GivenUp) {
		fmt.Printf("skipped a record of %s after %d attempts: %v\n", e.Key, e.Attempts, e.Err)
	}
	runUntil(done, made(cfg))
	// Output:
	// skipped a record of anna after 3 attempts: no such item
	// anna: tea: done
}

// DeadLetter keeps the record where somebody can look at it, and the shard goes on.
func ExampleFailure_deadLetter() {
	done := make(chan struct{})
	letters := memletters.New() // sqlletters and redisletters outlive the process
	cfg := consumer.Config{
		Name: "shop", Source: texts("anna: poison", "anna: tea"), Leases: memlease.New(), Timing: brisk,
		Handler: consumer.Each(func(_ context.Context, r consumer.Record) error {
			if strings.HasSuffix(string(r.Data), "poison") {
				return errors.New("no such item")
			}
			fmt.Printf("%s: done\n", r.Data)
			close(done)
			return nil
		}),
	}
	cfg.Failure = consumer.Failure{
		MaxAttempts: 3,
		MaxAge:      time.Hour,
		Then:        consumer.DeadLetter,
		Letters:     letters,
	}
	runUntil(done, made(cfg))
	stream, err := cfg.Source.Stream(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	scope := deadletter.Scope{App: "shop", Stream: stream.Incarnation}
	for l, err := range letters.Read(context.Background(), deadletter.Query{Scope: scope}) {
		fmt.Printf("a letter of %s: %q, given up for %s after %d attempts: %v, %v\n", l.Key, l.Payload, l.Reason, l.Attempts, l.Errors, err)
	}
	// Output:
	// anna: tea: done
	// a letter of anna: "anna: poison", given up for attempts after 3 attempts: [no such item], <nil>
}

// ParkKey sets one key aside: its later records follow the one that failed, the other keys go on, and a redrive has all of them handled in order.
func ExampleFailure_parkKey() {
	done, mended := make(chan struct{}), false
	letters := memletters.New()
	cfg := consumer.Config{
		Name: "shop", Source: texts("anna: poison", "anna: tea", "bert: milk"), Leases: memlease.New(), Timing: brisk,
		Handler: consumer.Each(func(_ context.Context, r consumer.Record) error {
			if strings.HasSuffix(string(r.Data), "poison") && !mended {
				return errors.New("no such item")
			}
			fmt.Printf("%s: done\n", r.Data)
			return nil
		}),
	}
	cfg.Order = consumer.Order{By: consumer.PerKey, Workers: 1} // one, for an output that is the same each time
	cfg.Failure = consumer.Failure{
		MaxAttempts: 1,
		Then:        consumer.ParkKey,
		Letters:     letters, // any deadletter.Store
	}
	cfg.Hooks.GivenUp = func(e consumer.GivenUp) {
		if e.Reason == deadletter.Followed {
			close(done)
		}
	}
	c := made(cfg)
	runUntil(done, c)

	mended = true // a new version is deployed
	redriven, err := c.Redrive(context.Background(), deadletter.Query{})
	fmt.Printf("redriven: %d done, %d failed again, %v\n", redriven.Done, redriven.Failed, err)
	// Output:
	// bert: milk: done
	// anna: poison: done
	// anna: tea: done
	// redriven: 2 done, 0 failed again, <nil>
}

// A record that no attempt can mend is given up at the first.
func ExamplePermanent() {
	done := make(chan struct{})
	cfg := consumer.Config{
		Name: "shop", Source: texts("no JSON"), Leases: memlease.New(), Timing: brisk,
		Failure: consumer.Failure{Then: consumer.Skip},
	}
	cfg.Handler = consumer.Each(func(ctx context.Context, r consumer.Record) error {
		var o Order
		if err := json.Unmarshal(r.Data, &o); err != nil {
			return consumer.Permanent(fmt.Errorf("an order that is no JSON: %w", err))
		}
		return index(ctx, o)
	})
	cfg.Hooks.GivenUp = func(e consumer.GivenUp) {
		fmt.Printf("%s after %d attempt: %v\n", e.Reason, e.Attempts, e.Err)
		close(done)
	}
	runUntil(done, made(cfg))
	// Output:
	// permanent after 1 attempt: an order that is no JSON: invalid character 'o' in literal null (expecting 'u')
}

// A service that says when it wants to be asked again is asked then.
func ExampleRetryAfter() {
	done := make(chan struct{})
	cfg := consumer.Config{Name: "shop", Source: texts("anna: tea"), Leases: memlease.New(), Timing: brisk}
	failed := time.Time{}
	cfg.Handler = consumer.Each(func(_ context.Context, r consumer.Record) error {
		if r.Attempt == 1 {
			failed = time.Now()
			return consumer.RetryAfter(50*time.Millisecond, errors.New("too many requests"))
		}
		fmt.Println("attempt", r.Attempt, "was late enough:", time.Since(failed) >= 50*time.Millisecond)
		close(done)
		return nil
	})
	runUntil(done, made(cfg))
	// Output: attempt 2 was late enough: true
}

// Bisect halves a batch that failed until the poison is alone. Halving spends no attempt: each record that is well has one.
func ExampleSplit() {
	done, calls, failing := make(chan struct{}), 0, 0
	cfg := consumer.Config{
		Name: "shop", Source: texts("anna: tea", "anna: milk", "anna: poison", "anna: bread", "anna: rice", "anna: oil", "anna: salt", "anna: figs"),
		Leases: memlease.New(), Timing: brisk,
		Handler: consumer.HandlerFunc(func(_ context.Context, rs []consumer.Record) error {
			calls++
			for _, r := range rs { // a bulk insert that fails as a whole
				if strings.HasSuffix(string(r.Data), "poison") {
					failing++
					return errors.New("one of these is bad")
				}
			}
			if strings.HasSuffix(string(rs[len(rs)-1].Data), "figs") {
				close(done)
			}
			return nil
		}),
	}
	cfg.Failure = consumer.Failure{
		MaxAttempts: 1,
		Split:       consumer.Bisect,
		Then:        consumer.Skip,
	}
	cfg.Hooks.GivenUp = func(e consumer.GivenUp) { fmt.Println("alone and given up:", e.Reason, e.Attempts) }
	runUntil(done, made(cfg))
	fmt.Println(calls, "calls,", failing, "of which failed")
	// Output:
	// alone and given up: attempts 1
	// 7 calls, 4 of which failed
}
