package lease_test

import (
	"context"
	"fmt"
	"iter"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/memlease"
)

// An operator has a shard read again that was read to its end, while no worker runs.
func ExampleOperator() {
	ctx := context.Background()
	store := memlease.New()
	readOnce(store)

	operator := lease.Operator{Store: store, App: "orders-index"}
	if err := show(ctx, operator); err != nil {
		fmt.Println(err)
	}
	generation, err := operator.Reset(ctx, lease.Reset{Shards: []string{"shard-0"}, To: checkpoint.After(checkpoint.Offset(1))})
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println("reset to generation", generation)
	if err := show(ctx, operator); err != nil {
		fmt.Println(err)
	}
	// Output:
	// shard-0 is at 3, ended: true, generation 0
	// reset to generation 1
	// shard-0 begins AFTER 1, ended: false, generation 1
}

func show(ctx context.Context, o lease.Operator) error {
	application, err := o.Describe(ctx)
	for _, s := range application.Shards {
		where := "begins " + s.Start.String()
		if !s.Position.IsZero() {
			where = "is at " + s.Position.String()
		}
		fmt.Printf("%s %s, ended: %v, generation %d\n", s.Shard, where, s.Ended, s.Generation)
	}
	return err
}

// readOnce runs a worker until it has read a shard to its end.
func readOnce(store lease.Store) {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	coordinator, err := lease.NewCoordinator(lease.Config{
		Store: store, App: "orders-index", Stream: "orders",
		Shards: func(context.Context) iter.Seq2[lease.Shard, error] {
			return func(yield func(lease.Shard, error) bool) { yield(lease.Shard{ID: "shard-0"}, nil) }
		},
		Pin:  func(_ context.Context, at checkpoint.Start) (checkpoint.Start, error) { return at, nil },
		Gone: func(context.Context, string) (bool, error) { return false, nil },
		Work: func(ctx context.Context, l *lease.Lease) <-chan struct{} {
			if err := l.End(ctx, checkpoint.Offset(3), nil); err != nil {
				fmt.Println(err)
			}
			stop()
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
}
