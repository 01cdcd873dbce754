package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver is the program's choice: runnel imports none

	"github.com/runnelhq/runnel/internal/torment"
	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/sqllease"
	"github.com/runnelhq/runnel/localstack"
)

func beginPostgres(ctx context.Context, _ localstack.Clients) (*storage, error) {
	p, err := localstack.StartPostgres(ctx, localstack.Options{})
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(p.URL)
	if err != nil {
		return nil, err
	}
	table := fmt.Sprintf("chaos_%016x", torment.Clock())
	return &storage{
		address: u.Host,
		what:    func(address string) string { return torment.Moved(p.URL, address) + " " + table },
		end:     func(context.Context) error { return p.Close() },
	}, nil
}

func openPostgres(_ localstack.Clients, what string) (lease.Store, func() error, error) {
	var address, table string
	if _, err := fmt.Sscan(what, &address, &table); err != nil {
		return nil, nil, err
	}
	db, err := sql.Open("pgx", address)
	if err != nil {
		return nil, nil, err
	}
	return sqllease.New(db, &sqllease.Config{Dialect: sqllease.PostgreSQL, Table: table}), db.Close, nil
}
