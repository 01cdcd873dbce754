package consumer_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/sqldedup"
	"github.com/runnelhq/runnel/lease/memlease"
)

// till is a database with how often each thing was sold.
func till() (db *sql.DB, remove func()) {
	dir, err := os.MkdirTemp("", "till")
	if err != nil {
		panic(err)
	}
	if db, err = sql.Open("sqlite", filepath.Join(dir, "till.db")); err != nil {
		panic(err)
	}
	if _, err := db.ExecContext(context.Background(), "CREATE TABLE sold (thing TEXT PRIMARY KEY, times INTEGER NOT NULL)"); err != nil {
		panic(err)
	}
	return db, func() {
		if err := errors.Join(db.Close(), os.RemoveAll(dir)); err != nil {
			panic(err)
		}
	}
}

// The effects of records, and the marks by which repeats are told, are in one transaction of a database.
func ExampleOnce() {
	db, remove := till()
	defer remove()
	source, leases := texts("tea", "milk", "tea"), memlease.New()
	marks := sqldedup.New(db, nil)
	cfg := consumer.Config{
		Name:     "till",
		Source:   source,
		Leases:   leases,
		Delivery: consumer.ExactlyOnce,
		Handler: consumer.Once(marks, func(ctx context.Context, tx *sql.Tx, fresh []consumer.Record) error {
			for _, r := range fresh {
				_, err := tx.ExecContext(ctx, `INSERT INTO sold (thing, times) VALUES (?, 1) ON CONFLICT (thing) DO UPDATE SET times = times + 1`, string(r.Data))
				if err != nil {
					return err
				}
			}
			return nil
		}),
	}
	cfg.Timing = brisk
	done, handled := make(chan struct{}), 0
	cfg.Hooks.Handled = func(e consumer.Handled) {
		if handled += e.Records; handled == 3 {
			close(done)
		}
	}
	runUntil(done, made(cfg))
	tell(db)
	// Output:
	// milk 1
	// tea 2
}

// tell says how often each thing was sold.
func tell(db *sql.DB) {
	for _, thing := range []string{"milk", "tea"} {
		var times int
		if err := db.QueryRowContext(context.Background(), "SELECT times FROM sold WHERE thing = ?", thing).Scan(&times); err != nil {
			panic(err)
		}
		fmt.Println(thing, times)
	}
}

// Each record is counted once, though the first worker dies behind the commit, and the next one is handed the record again.
func ExampleOnce_wrapped() {
	db, remove := till()
	defer remove()
	source := texts("tea", "milk", "tea")
	leases := memlease.New()
	config := func() (consumer.Config, <-chan struct{}) {
		done := make(chan struct{})
		marks := sqldedup.New(db, nil)
		count := consumer.Once(marks, func(ctx context.Context, tx *sql.Tx, fresh []consumer.Record) error {
			for _, r := range fresh {
				_, err := tx.ExecContext(ctx, `INSERT INTO sold (thing, times) VALUES (?, 1) ON CONFLICT (thing) DO UPDATE SET times = times + 1`, string(r.Data))
				if err != nil {
					return err
				}
			}
			fmt.Println(len(fresh), "records are fresh")
			return nil
		})
		return consumer.Config{
			Name: "till", Source: source, Leases: leases, Timing: brisk,
			Delivery: consumer.ExactlyOnce,
			Sink:     marks, // count is wrapped, and Once sets it only where it is the Handler itself
			Handler: consumer.HandlerFunc(func(ctx context.Context, rs []consumer.Record) error {
				fmt.Println(len(rs), "records come")
				defer close(done)
				return count.Handle(ctx, rs)
			}),
			Checkpoint: checkpoint.Manual{},
		}, done
	}
	cfg, done := config()
	cfg.Leases = memlease.New() // a store that dies with the worker: nothing of the position is left
	runUntil(done, made(cfg))
	if _, _, err := source.Put("milk", []byte("milk")); err != nil {
		panic(err)
	}
	cfg, done = config()
	runUntil(done, made(cfg))
	tell(db)
	// Output:
	// 3 records come
	// 3 records are fresh
	// 1 records come
	// 1 records are fresh
	// milk 2
	// tea 2
}

// A handler may call the sink by hand, with the marks of its records, for those that have an effect.
func ExampleRecord_Mark() {
	db, remove := till()
	defer remove()
	marks := sqldedup.New(db, nil)
	done := make(chan struct{})
	cfg := consumer.Config{
		Name: "till", Source: texts("tea", "nothing", "milk"), Leases: memlease.New(), Timing: brisk,
		Delivery: consumer.ExactlyOnce,
		Sink:     marks,
		Handler: consumer.Each(func(ctx context.Context, r consumer.Record) error {
			if bytes.Equal(r.Data, []byte("nothing")) {
				return nil // done, without a write
			}
			err := marks.Apply(ctx, []dedup.Mark{r.Mark()}, func(tx *sql.Tx, _ []int) error {
				_, err := tx.ExecContext(ctx, `INSERT INTO sold (thing, times) VALUES (?, 1)`, string(r.Data))
				return err
			})
			if err == nil && r.Key == "milk" {
				close(done)
			}
			return err
		}),
	}
	runUntil(done, made(cfg))
	var n int
	if err := db.QueryRowContext(context.Background(), "SELECT count(*) FROM sold").Scan(&n); err != nil {
		panic(err)
	}
	fmt.Println(n, "things were sold")
	// Output: 2 things were sold
}

// What must never happen twice, and may be missed, is handed out at most once.
func ExampleDelivery_atMostOnce() {
	done := make(chan struct{})
	cfg := consumer.Config{
		Name: "bells", Source: texts("ring", "ring again"), Leases: memlease.New(), Timing: brisk,
		Handler: consumer.Each(func(_ context.Context, r consumer.Record) error {
			fmt.Printf("%s\n", r.Data)
			if r.Key == "ring again" {
				close(done)
			}
			return errors.New("the bell is broken") // it is not rung again all the same
		}),
	}
	cfg.Delivery = consumer.AtMostOnce
	cfg.Failure.Then = consumer.Skip
	runUntil(done, made(cfg))
	// Output:
	// ring
	// ring again
}
