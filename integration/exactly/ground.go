package main

import (
	"cmp"
	"context"
	"errors"
	"os"

	"github.com/runnelhq/runnel/localstack"
)

// ground is what all scenarios stand on: the program of the workers, Kinesis with the DynamoDB of its leases, and a DynamoDB whose streams are closed and continued.
type ground struct {
	dir    string
	bank   string
	log    *os.File // of the workers
	stack  *localstack.Stack
	tables *localstack.DynamoDB
}

func newGround(ctx context.Context, log string) (g *ground, err error) {
	g = &ground{}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.close())
		}
	}()
	if g.dir, err = os.MkdirTemp("", "runnel-exactly-*"); err != nil {
		return g, err
	}
	if g.log, err = os.Create(cmp.Or(log, os.DevNull)); err != nil {
		return g, err
	}
	if g.bank, err = build(ctx, g.dir); err != nil {
		return g, err
	}
	if g.stack, err = localstack.Start(ctx, localstack.Options{}); err != nil {
		return g, err
	}
	g.tables, err = localstack.StartDynamoDB(ctx, localstack.Options{})
	return g, err
}

func (g *ground) close() error {
	var errs []error
	if g.stack != nil {
		errs = append(errs, g.stack.Close())
	}
	if g.tables != nil {
		errs = append(errs, g.tables.Close())
	}
	if g.log != nil {
		errs = append(errs, g.log.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(g.dir))...)
}
