package deadletter_test

import (
	"context"
	"fmt"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/deadletter/memletters"
)

// A key that was parked is drained, in order, and free afterwards.
func ExampleRedrive() {
	ctx := context.Background()
	store := memletters.New()
	scope := deadletter.Scope{App: "billing", Stream: "orders"}
	var parked []deadletter.Letter
	for n, text := range []string{"created", "paid", "shipped"} {
		parked = append(parked, deadletter.Letter{Scope: scope, Shard: "shard-0", Position: checkpoint.Offset(uint64(n)), Key: "order-7", Payload: []byte(text)})
	}
	if err := store.Park(ctx, parked, true); err != nil {
		panic(err)
	}
	result, err := deadletter.Redrive(ctx, store, deadletter.Query{Scope: scope}, deadletter.RedriveOptions{Worker: "operator"}, func(_ context.Context, l deadletter.Letter) error {
		fmt.Printf("%s %s\n", l.Key, l.Payload)
		return nil
	})
	fmt.Println(result.Done, "done,", result.Failed, "failed,", err)
	// Output:
	// order-7 created
	// order-7 paid
	// order-7 shipped
	// 3 done, 0 failed, <nil>
}
