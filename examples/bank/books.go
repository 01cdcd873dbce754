package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/ddbsource"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/internal/instants"
)

// transfer is what a record holds.
type transfer struct {
	From   string `json:"from" dynamodbav:"from"`
	Number int    `json:"number" dynamodbav:"number"` // of the transfers from this account
	To     string `json:"to" dynamodbav:"to"`
	Amount int64  `json:"amount" dynamodbav:"amount"`
}

// line is what an account's statement says of a transfer.
type line struct {
	account  string
	transfer string // its name, such as ada/1
	amount   int64
}

// String is how a line is kept where it is one value: ada/1 -5.
func (l line) String() string { return fmt.Sprintf("%s %+d", l.transfer, l.amount) }

func (t transfer) lines() []line {
	name := fmt.Sprintf("%s/%d", t.From, t.Number)
	return []line{{t.From, name, -t.Amount}, {t.To, name, t.Amount}}
}

func fromKinesis(r consumer.Record) (t transfer, err error) {
	return t, json.Unmarshal(r.Data, &t)
}

func fromTable(r consumer.Record) (transfer, error) {
	c, err := ddbsource.Decode[transfer](r)
	if err == nil && c.New == nil {
		err = errors.New("the change has no new image")
	}
	if err != nil {
		return transfer{}, err
	}
	return *c.New, nil
}

// books are the accounts in one of the databases. Each has a balance, and a statement, whose lines nothing keeps from being there twice: only the marks do.
type books struct {
	handler consumer.Handler
	setup   func(context.Context) error // makes what is missing
	close   func()
}

func open(sink string, dynamo *dynamodb.Client, read func(consumer.Record) (transfer, error)) (books, error) {
	kind, rest, _ := strings.Cut(sink, ":")
	switch kind {
	case "postgres":
		return openPostgres(sink, read)
	case "sqlite":
		return openSQLite(rest, read)
	case "redis":
		return openRedis(sink, read)
	case "dynamodb":
		return openDynamoDB(dynamo, rest, read), nil
	}
	return books{}, fmt.Errorf("-sink %q is none of postgres://…, sqlite:FILE, redis://… and dynamodb:TABLE", sink)
}

// booking is the handler: book gets the lines of transfers that are not booked yet, and has the sink write them together with their marks.
func booking[E any](sink dedup.Effects[E], read func(consumer.Record) (transfer, error), book func(ctx context.Context, e E, lines []line) error) consumer.Handler {
	sink = instants.Of(sink) // as it is, unless a test wants to know when to kill this process
	return consumer.Once(sink, func(ctx context.Context, e E, fresh []consumer.Record) error {
		var lines []line
		for i, r := range fresh {
			t, err := read(r)
			if err != nil {
				return &consumer.PartialError{Done: i, Err: err}
			}
			lines = append(lines, t.lines()...)
		}
		// Transactions that take accounts in one order wait for each other, and none has to be undone because they do so in a circle.
		slices.SortStableFunc(lines, func(a, b line) int { return strings.Compare(a.account, b.account) })
		return book(ctx, e, lines)
	})
}
