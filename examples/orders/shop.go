package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/memsource"
	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/lease"
)

// order is what a record holds.
type order struct {
	Customer string
	Number   int // of the customer's orders: 1, 2, 3 …
	Item     string
	Pieces   string
}

var (
	customers = []string{"anna", "bert", "carla"}
	items     = []string{"tea", "milk", "eggs", "bread", "rice", "oil", "salt"}
)

// poison is the order that version 1 cannot read.
var poison = order{Customer: "bert", Number: 3, Item: "eggs", Pieces: "a dozen"}

// version1 has a bug: it takes pieces for a number.
func version1(pieces string) (int, error) { return strconv.Atoi(pieces) }

func version2(pieces string) (int, error) {
	if pieces == "a dozen" {
		return 12, nil
	}
	return version1(pieces)
}

// shop is what outlives the versions of the program.
type shop struct {
	source  *memsource.Source
	leases  lease.Store
	letters deadletter.Store
	board   *board
	pace    time.Duration
	sold    int // orders of each customer
}

// version is a consumer that ships orders.
func (s *shop) version(read func(pieces string) (int, error)) (*consumer.Consumer, error) {
	return consumer.New(consumer.Config{
		Name: "shop", Source: s.source, Leases: s.leases,
		Order: consumer.Order{By: consumer.PerKey}, // the key of a record is the customer
		Failure: consumer.Failure{
			MaxAttempts: 3,
			Backoff:     s.pace,
			Then:        consumer.ParkKey,
			Letters:     s.letters,
		},
		Handler: consumer.JSON(func(ctx context.Context, o order, r consumer.Record) error {
			pieces, err := read(o.Pieces)
			if err != nil {
				return fmt.Errorf("how many pieces is that? %w", err)
			}
			if err := wait(ctx, s.pace); err != nil { // shipping
				return err
			}
			s.board.ships(o, pieces, r.Redriven)
			return nil
		}),
		Hooks: consumer.Hooks{Retried: s.board.retried, GivenUp: s.board.givenUp},
	})
}

// sell has each customer order so many things, and waits until each order is shipped or a letter.
func (s *shop) sell(ctx context.Context, rounds int) error {
	for range rounds {
		s.sold++
		for _, customer := range customers {
			o := order{Customer: customer, Number: s.sold, Item: items[(s.sold-1)%len(items)], Pieces: strconv.Itoa(s.sold)}
			if o.Customer == poison.Customer && o.Number == poison.Number {
				o = poison
			}
			if err := s.place(o); err != nil {
				return err
			}
			if err := wait(ctx, s.pace); err != nil {
				return err
			}
		}
	}
	return s.board.settled(ctx)
}

func (s *shop) place(o order) error {
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return s.board.places(o, func() (string, error) {
		_, p, err := s.source.Put(o.Customer, text)
		return p.String(), err
	})
}

// left is how many letters there are, and how many customers are parked.
func (s *shop) left(ctx context.Context) (letters, parked int, err error) {
	stream, err := s.source.Stream(ctx)
	if err != nil {
		return 0, 0, err
	}
	scope := deadletter.Scope{App: "shop", Stream: stream.Incarnation}
	for _, err := range s.letters.Read(ctx, deadletter.Query{Scope: scope, Heads: true}) {
		if err != nil {
			return 0, 0, err
		}
		letters++
	}
	for _, err := range s.letters.Parked(ctx, scope) {
		if err != nil {
			return 0, 0, err
		}
		parked++
	}
	return letters, parked, nil
}

// wait waits for d, or for the end of ctx, whose cause it gives.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
