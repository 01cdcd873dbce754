package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	_ "modernc.org/sqlite" // the driver is the program's choice: runnel imports none

	"github.com/runnelhq/runnel/internal/torment"
	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/ddblease"
	"github.com/runnelhq/runnel/lease/sqllease"
	"github.com/runnelhq/runnel/localstack"
)

// storeKind is a store under chaos. One more is one more entry of [stores].
type storeKind struct {
	name string
	// begin makes room for one run, in a server that it may start.
	begin func(ctx context.Context, services localstack.Clients) (*storage, error)
	// open opens it in a worker. what comes from [storage].what.
	open func(services localstack.Clients, what string) (lease.Store, func() error, error)
}

// storage is where the leases of one run are.
type storage struct {
	address string                                                      // host:port of the server; "": it has none, and no proxy stands before it
	http    bool                                                        // it can be throttled with answers of its protocol
	what    func(address string) string                                 // what a worker opens, with the server behind that address
	hold    func(ctx context.Context) (release func() error, err error) // keeps everybody from writing; nil: cut it off by proxy
	end     func(ctx context.Context) error
}

var stores = []storeKind{
	{"dynamodb", beginDynamoDB, openDynamoDB},
	{"sqlite", beginSQLite, openSQLite},
	{"redis", beginRedis, openRedis},
	{"postgres", beginPostgres, openPostgres},
}

func storeOf(name string) (storeKind, error) {
	var names []string
	for _, k := range stores {
		if k.name == name {
			return k, nil
		}
		names = append(names, k.name)
	}
	return storeKind{}, fmt.Errorf("no store is called %q: use one of %s", name, strings.Join(names, ", "))
}

// openStore opens what a parent wrote as "kind what".
func openStore(services localstack.Clients, text string) (lease.Store, func() error, error) {
	name, what, _ := strings.Cut(text, " ")
	k, err := storeOf(name)
	if err != nil {
		return nil, nil, err
	}
	return k.open(services, what)
}

func beginDynamoDB(_ context.Context, services localstack.Clients) (*storage, error) {
	address, err := torment.Endpoint(services, "DYNAMODB")
	if err != nil {
		return nil, err
	}
	table := torment.Unique("leases")
	return &storage{
		address: address, http: true,
		what: func(address string) string { return "http://" + address + " " + table },
		end: func(ctx context.Context) error {
			_, err := services.DynamoDB().DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &table})
			return err
		},
	}, nil
}

func openDynamoDB(services localstack.Clients, what string) (lease.Store, func() error, error) {
	endpoint, table, _ := strings.Cut(what, " ")
	client := services.DynamoDB(func(o *dynamodb.Options) { o.BaseEndpoint = aws.String(endpoint) })
	return ddblease.New(client, table, nil), func() error { return nil }, nil
}

func beginSQLite(context.Context, localstack.Clients) (*storage, error) {
	dir, err := os.MkdirTemp("", "runnel-chaos-*")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "leases.db")
	return &storage{
		what: func(string) string { return file },
		hold: func(ctx context.Context) (func() error, error) { return lock(ctx, file) },
		end:  func(context.Context) error { return os.RemoveAll(dir) },
	}, nil
}

func openSQLite(_ localstack.Clients, file string) (lease.Store, func() error, error) {
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(file))
	if err != nil {
		return nil, nil, err
	}
	return sqllease.New(db, nil), db.Close, nil
}

// lock holds the one lock of a database that a writer needs.
func lock(ctx context.Context, file string) (release func() error, err error) {
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(file)+"?_pragma=busy_timeout(2000)")
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(ctx)
	if err == nil {
		_, err = conn.ExecContext(ctx, `BEGIN IMMEDIATE`)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return func() error {
		_, err := conn.ExecContext(context.WithoutCancel(ctx), `ROLLBACK`)
		return errors.Join(err, conn.Close(), db.Close())
	}, nil
}
