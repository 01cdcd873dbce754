package lease_test

import (
	"context"
	"fmt"
	"iter"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/memlease"
)

// A worker that takes the shards of a stream that never changes, does some work on each and stops.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	coordinator, err := lease.NewCoordinator(lease.Config{
		Store:  memlease.New(),
		App:    "orders-index",
		Stream: "orders",
		Shards: func(context.Context) iter.Seq2[lease.Shard, error] {
			return func(yield func(lease.Shard, error) bool) { yield(lease.Shard{ID: "shard-0"}, nil) }
		},
		Pin:  func(_ context.Context, at checkpoint.Start) (checkpoint.Start, error) { return at, nil },
		Gone: func(context.Context, string) (bool, error) { return false, nil },
		Work: func(ctx context.Context, l *lease.Lease) <-chan struct{} {
			fmt.Println(l.Shard().ID, "in epoch", l.Epoch(), "from", l.Start())
			var done checkpoint.Position
			for n := uint64(1); n <= 3 && l.Valid(); n++ {
				done = checkpoint.Offset(n) // a record was processed
			}
			if err := l.Checkpoint(ctx, done, checkpoint.Ahead{}); err != nil {
				fmt.Println(err)
			}
			stop()
			<-l.Draining()
			if err := l.Release(ctx, done, checkpoint.Ahead{}); err != nil {
				fmt.Println(err)
			}
			fmt.Println("released at", l.Position())
			return nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := coordinator.Run(ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// shard-0 in epoch 1 from TRIM_HORIZON
	// released at 3
}
