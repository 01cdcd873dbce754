package ratelimit_test

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"github.com/runnelhq/runnel/consumer/ratelimit"
)

// Batches of any size keep to the rate, those that are larger than the burst too.
func ExampleRecords() {
	limiter := ratelimit.Records(rate.NewLimiter(1000, 10)) // records a second; at most 10 at once

	start := time.Now()
	for _, records := range []int{10, 25} { // the first is the burst, the second waits for 25 thousandths of a second
		if err := limiter.Wait(context.Background(), records); err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Println("35 records took at least 25 ms:", time.Since(start) >= 25*time.Millisecond)
	// Output: 35 records took at least 25 ms: true
}

// A batch is one call, however many records it carries.
func ExampleCalls() {
	limiter := ratelimit.Calls(rate.NewLimiter(rate.Every(time.Minute), 2)) // one request a minute, two after a pause

	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for _, records := range []int{500, 1, 1} {
		fmt.Println(limiter.Wait(ctx, records) == nil)
	}
	// Output:
	// true
	// true
	// false
}
