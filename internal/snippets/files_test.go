package snippets_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/filesource"
	"github.com/runnelhq/runnel/lease/sqllease"
)

// Order is what the lines hold.
type Order struct{ ID, Item string }

// produce makes a stream of two shards in the directory orders.
func produce() error {
	w := filesource.NewWriter("orders")
	for _, shard := range []string{"0", "1"} {
		if err := w.Create(shard); err != nil {
			return err
		}
	}
	return w.Append("1", []byte(`{"id":"1","item":"tea"}`))
}

// consume hands the lines to ship until ctx ends.
func consume(ctx context.Context, ship func(Order) error) error {
	db, err := sql.Open("sqlite", "runnel.db") // import _ "modernc.org/sqlite", or any other driver of SQLite
	if err != nil {
		return err
	}
	err = consumer.Run(ctx, consumer.Config{
		Name:    "orders-shipping",
		Source:  filesource.New("orders", nil),
		Leases:  sqllease.New(db, nil),
		Handler: consumer.JSON(func(_ context.Context, o Order, _ consumer.Record) error { return ship(o) }),
	})
	return errors.Join(err, db.Close())
}

// The program of the document reads what its producer wrote, and what a shell adds with its >>, and goes on where it stopped.
func TestLocalFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := produce(); err != nil {
		t.Fatal(err)
	}
	expectOrder(t, "tea")
	f, err := os.OpenFile(filepath.Join("orders", "0.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(`{"id":"2","item":"coffee"}` + "\n")
	if closing := f.Close(); err != nil || closing != nil {
		t.Fatal(err, closing)
	}
	expectOrder(t, "coffee")
}

// expectOrder runs the consumer until it has been given an order, which must be of this item.
func expectOrder(t *testing.T, item string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	var got []string
	err := consume(ctx, func(o Order) error {
		got = append(got, o.Item)
		stop()
		return nil
	})
	if err != nil || len(got) != 1 || got[0] != item {
		t.Errorf("it was given %q and returned %v, want %q alone", got, err, item)
	}
}
