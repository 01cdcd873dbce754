package main

import (
	"context"
	"fmt"
)

// place is the bank's database in one scenario.
type place struct {
	address string                        // host:port of the server; "": it has none, and no proxy stands before it
	sink    func(address string) string   // what the bank is told, with the server behind that address
	env     func(address string) []string // that the bank needs for it; nil: none
	commits func(part []byte) bool        // tells the request whose answer is lost
	read    func(ctx context.Context) (books, error)
	end     func(ctx context.Context) error
}

// books are what a database holds.
type books struct {
	lines    map[string][]line // of each account, in their order
	balances map[string]int64
}

// line is one of an account's statement.
type line struct {
	transfer string
	amount   int64
}

func newBooks() books {
	return books{lines: make(map[string][]line), balances: make(map[string]int64)}
}

// add adds lines to an account's statement, each as one value: account-01/7 -5.
func (b books) add(account string, texts []string) error {
	for _, text := range texts {
		var l line
		if _, err := fmt.Sscanf(text, "%s %d", &l.transfer, &l.amount); err != nil {
			return fmt.Errorf("the line %q of %s: %w", text, account, err)
		}
		b.lines[account] = append(b.lines[account], l)
	}
	return nil
}

var sinks = map[string]func(ctx context.Context, g *ground, in *input) (*place, error){
	"postgres": inPostgres, "sqlite": inSQLite, "redis": inRedis, "dynamodb": inDynamoDB,
}
