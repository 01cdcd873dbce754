package filesource_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/filesource"
	"github.com/runnelhq/runnel/lease/memlease"
)

// A directory is written, followed, and closed.
func Example() {
	dir, err := os.MkdirTemp("", "votes")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer remove(dir)

	producer := filesource.NewWriter(dir)
	if err := producer.Create("a"); err != nil {
		fmt.Println(err)
		return
	}
	if err := producer.Append("a", []byte(`{"voter":"ann","for":"red"}`), []byte(`{"voter":"bob","for":"blue"}`)); err != nil {
		fmt.Println(err)
		return
	}

	ctx, cancel := context.WithCancel(context.Background())
	err = consumer.Run(ctx, consumer.Config{
		Name:   "tally",
		Source: filesource.New(dir, &filesource.Config{KeyField: "voter"}),
		Leases: memlease.New(),
		Handler: consumer.Each(func(_ context.Context, r consumer.Record) error {
			fmt.Printf("%s at %s: %s\n", r.Key, r.Position, r.Data)
			if r.Key == "bob" {
				cancel()
			}
			return nil
		}),
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// ann at 28: {"voter":"ann","for":"red"}
	// bob at 57: {"voter":"bob","for":"blue"}
}

// An archive is replayed until all of its shards have ended.
func Example_replay() {
	dir, err := os.MkdirTemp("", "archive")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer remove(dir)
	for _, day := range []string{"2026-01-01", "2026-01-02", "2026-01-03"} {
		if err := os.WriteFile(filepath.Join(dir, day+".jsonl"), []byte("{\"n\":1}\n{\"n\":2}\n"), 0o600); err != nil {
			fmt.Println(err)
			return
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	archive := filesource.New(dir, &filesource.Config{Closed: true})
	stream, err := archive.Stream(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	var shards, records atomic.Int64
	for _, err := range archive.Shards(ctx, stream) {
		if err != nil {
			fmt.Println(err)
			return
		}
		shards.Add(1)
	}
	err = consumer.Run(ctx, consumer.Config{
		Name:   "replay",
		Source: archive,
		Leases: memlease.New(),
		Handler: consumer.Each(func(context.Context, consumer.Record) error {
			records.Add(1)
			return nil
		}),
		Hooks: consumer.Hooks{Lost: func(e consumer.Lost) {
			if e.Reason == consumer.ReasonEnded && shards.Add(-1) == 0 {
				cancel()
			}
		}},
	})
	fmt.Println(records.Load(), "records,", shards.Load(), "shards left,", err)
	// Output: 6 records, 0 shards left, <nil>
}

func remove(dir string) {
	if err := os.RemoveAll(dir); err != nil {
		fmt.Println(err)
	}
}
