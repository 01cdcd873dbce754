// Orders shows what becomes of a record that cannot be handled when the others of its key must wait for it and those of other keys must not.
//
//	go run ./examples/orders
//
// Customers order one thing after the other, in one shard. A version of the shop with a bug cannot read one order of bert: he is parked, his later orders follow to the dead letters, and the other customers go on. The next version can
// read it: a redrive ships what bert waits for, in order, and he goes on. The program takes some seconds, checks what it says, and ends with exit code 1 if that is not true.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/memsource"
	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/deadletter/sqlletters"
	"github.com/runnelhq/runnel/lease/memlease"
)

func main() {
	pace := flag.Duration("pace", 250*time.Millisecond, "time between two orders, and for shipping one")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Stdout, *pace)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "orders:", err)
		os.Exit(1)
	}
}

// run tells the whole story, and gives an error if it did not go as told.
func run(ctx context.Context, out io.Writer, pace time.Duration) (err error) {
	dir, err := os.MkdirTemp("", "orders")
	if err != nil {
		return err
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "letters.db"))
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	defer func() { err = errors.Join(err, db.Close(), os.RemoveAll(dir)) }()
	letters := sqlletters.New(db, nil)
	if err := letters.Setup(ctx); err != nil {
		return err
	}
	s := &shop{source: memsource.New("orders", nil), leases: memlease.New(), letters: letters, board: newBoard(out), pace: pace}
	return s.story(ctx)
}

// story is what happens, one thing after the other.
func (s *shop) story(ctx context.Context) error {
	s.board.say("version 1 opens: anna, bert and carla order, one after the other")
	v1, err := s.version(version1)
	if err != nil {
		return err
	}
	err = during(ctx, v1, func(ctx context.Context) error { return s.sell(ctx, 4) })
	if err != nil {
		return err
	}
	s.board.say("version 1 is closed, and version 2 opens, which can read the order: bert is still parked")
	v2, err := s.version(version2)
	if err != nil {
		return err
	}
	err = during(ctx, v2, func(ctx context.Context) error {
		if err := s.sell(ctx, 1); err != nil {
			return err
		}
		s.board.say("the letters are redriven")
		s.board.redriveBegins()
		redriven, err := v2.Redrive(ctx, deadletter.Query{})
		if err != nil {
			return err
		}
		s.board.say("redriven: %d letters done, %d failed again", redriven.Done, redriven.Failed)
		return s.sell(ctx, 2)
	})
	if err != nil {
		return err
	}
	left, parked, err := s.left(ctx)
	if err != nil {
		return err
	}
	return s.board.check(left, parked)
}

// during runs a consumer while f does.
func during(ctx context.Context, c *consumer.Consumer, f func(context.Context) error) error {
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	ended := make(chan error, 1)
	go func() {
		err := c.Run(running)
		stop(err) // if it ends by itself, f shall not wait for it
		ended <- err
	}()
	err := f(running)
	stop(nil)
	return errors.Join(err, <-ended)
}
