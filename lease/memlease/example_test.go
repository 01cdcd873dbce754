package memlease_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/memlease"
)

// Of two writers that read the same version one wins; the other hears of it.
func Example() {
	ctx := context.Background()
	store := memlease.New()
	row := lease.Row{Key: "orders/S/stream/shard-0", Value: []byte(`{"owner":"a"}`)}
	fmt.Println(store.Put(ctx, []lease.Row{row}))
	errs := store.Put(ctx, []lease.Row{row})
	fmt.Println(errors.Is(errs[0], lease.ErrConflict))
	// Output:
	// []
	// true
}
