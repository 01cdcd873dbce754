package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/runnelhq/runnel/lease"
	"github.com/runnelhq/runnel/lease/ddblease"
	"github.com/runnelhq/runnel/localstack"
)

// fleets measures leases at scale, on each store.
func fleets(ctx context.Context, o options, r *report) error {
	for _, store := range []struct {
		name string
		run  func(context.Context, options, *report, string, fleetSize) error
	}{{"dynamodb", fleetOnDynamoDB}} {
		for _, size := range fleetSizes {
			name := fmt.Sprintf("Fleet/store=%s/shards=%d/workers=%d", store.name, size.shards, size.workers)
			if err := store.run(ctx, o, r, name, size); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
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
