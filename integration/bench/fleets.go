package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/redis/go-redis/v9"

	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/ddblease"
	"github.com/runnelhq/runnel/lease/redislease"
	"github.com/runnelhq/runnel/lease/sqllease"
	"github.com/runnelhq/runnel/localstack"
)

// fleetStores are the stores on which leases are measured at scale.
var fleetStores = []struct {
	name string
	run  func(context.Context, options, *report, string, fleetSize) error
}{{"dynamodb", fleetOnDynamoDB}, {"redis", fleetOnRedis}, {"postgresql", fleetOnPostgres}}

// fleets measures leases at scale, on each store, and simulated.
func fleets(ctx context.Context, o options, r *report) error {
	for _, store := range fleetStores {
		for _, size := range fleetSizes {
			name := fleetName(store.name, size)
			if err := store.run(ctx, o, r, name, size); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return fleetSimulated(o, r, largest)
}

// fleetOnDynamoDB counts the server's requests on the wire.
func fleetOnDynamoDB(ctx context.Context, o options, r *report, name string, size fleetSize) (err error) {
	d, err := localstack.StartDynamoDB(ctx, localstack.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	var requests wire
	table := unique("fleet")
	f := newFleet(size.shards, func() lease.Store { return ddblease.New(d.Through(requests.through).DynamoDB(), table, nil) })
	return f.measure(ctx, o, r, name, size.workers, func(context.Context) (float64, error) {
		var all int64
		for _, n := range requests.snapshot() {
			all += n
		}
		return float64(all), nil
	})
}

// fleetOnRedis counts the commands that Redis says it was sent: a script is one, and each call that it makes another.
func fleetOnRedis(ctx context.Context, o options, r *report, name string, size fleetSize) (err error) {
	server, err := localstack.StartRedis(ctx, localstack.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	client := redis.NewClient(&redis.Options{Addr: server.Addr, ContextTimeoutEnabled: true})
	defer func() { err = errors.Join(err, client.Close()) }()
	f := newFleet(size.shards, func() lease.Store { return redislease.New(client, nil) })
	return f.measure(ctx, o, r, name, size.workers, func(ctx context.Context) (float64, error) {
		info, err := client.Info(ctx, "stats").Result()
		if err != nil {
			return 0, err
		}
		for line := range strings.Lines(info) {
			if n, ok := strings.CutPrefix(strings.TrimSpace(line), "total_commands_processed:"); ok {
				return strconv.ParseFloat(n, 64)
			}
		}
		return 0, errors.New("INFO has no total_commands_processed")
	})
}

// fleetOnPostgres counts the transactions that PostgreSQL says it ended. Its statistics come a second late.
func fleetOnPostgres(ctx context.Context, o options, r *report, name string, size fleetSize) (err error) {
	server, err := localstack.StartPostgres(ctx, localstack.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	db, err := sql.Open("pgx", server.URL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(50)
	f := newFleet(size.shards, func() lease.Store {
		return sqllease.New(db, &sqllease.Config{Dialect: sqllease.PostgreSQL})
	})
	return f.measure(ctx, o, r, name, size.workers, func(ctx context.Context) (n float64, err error) {
		err = db.QueryRowContext(ctx, "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()").Scan(&n)
		return n, err
	})
}
