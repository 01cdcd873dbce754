package memletters_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/deadletter/memletters"
)

// A parked key takes letters until its last one is settled.
func Example() {
	ctx := context.Background()
	store := memletters.New()
	scope := deadletter.Scope{App: "billing", Stream: "orders"}
	poison := deadletter.Letter{Scope: scope, Shard: "shard-0", Position: checkpoint.Offset(7), Key: "customer-1", Reason: deadletter.Attempts}
	fmt.Println("park:", store.Park(ctx, []deadletter.Letter{poison}, true))

	claim := deadletter.Claim{Scope: scope, Key: "customer-1", Token: "a fresh one"}
	fmt.Println("claim:", store.Claim(ctx, claim, time.Minute))
	fmt.Println("settle:", store.Settle(ctx, claim, poison.ID(), nil))

	next := deadletter.Letter{Scope: scope, Shard: "shard-0", Position: checkpoint.Offset(8), Key: "customer-1", Reason: deadletter.Followed}
	err := store.Park(ctx, []deadletter.Letter{next}, false)
	fmt.Println("the next record is for the handler:", errors.Is(err, deadletter.ErrNotParked))
	// Output:
	// park: <nil>
	// claim: <nil>
	// settle: <nil>
	// the next record is for the handler: true
}
