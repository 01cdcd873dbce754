package memsource_test

import (
	"context"
	"fmt"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/memsource"
)

// A shard that is split gives its records and then its children.
func Example() {
	ctx := context.Background()
	source := memsource.New("orders", nil)
	parent, _, err := source.Put("order-1", []byte("placed"))
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, _, err := source.Split(parent); err != nil {
		fmt.Println(err)
		return
	}

	stream, err := source.Stream(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	reader, err := source.Open(ctx, stream, consumer.Shard{ID: parent}, checkpoint.Start{})
	if err != nil {
		fmt.Println(err)
		return
	}
	page, err := reader.Next(ctx, consumer.Want{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range page.Records {
		fmt.Printf("%s: %s\n", r.Key, r.Data)
	}
	page.Release()
	fmt.Println("end:", page.End)
	for _, child := range page.Children {
		fmt.Println("child:", child.ID)
	}
	// Output:
	// order-1: placed
	// end: true
	// child: shardId-000000000001
	// child: shardId-000000000002
}

// A fault makes calls go wrong until it is spent or lifted.
func ExampleSource_Inject() {
	ctx := context.Background()
	source := memsource.New("orders", nil)
	lift := source.Inject(memsource.Fault{Op: memsource.OpStream, Err: consumer.ErrDenied})
	_, err := source.Stream(ctx)
	fmt.Println(err)
	lift()
	_, err = source.Stream(ctx)
	fmt.Println(err)
	// Output:
	// memsource: Stream of stream orders: consumer: access denied
	// <nil>
}
