package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/ddbsource"
	"github.com/runnelhq/runnel/consumer/kinesissource"
	"github.com/runnelhq/runnel/lease/memlease"
	"github.com/runnelhq/runnel/localstack"
)

// haste is less than a full page takes. It is not nothing: a shard without records would be read too often before its interval has grown.
const haste = 2 * time.Millisecond

// readWithRunnel is a worker with the defaults of everything but the pace, and leases in memory: the SDK's loop keeps no positions either, and what a
// write of one costs is measured by itself.
func readWithRunnel(ctx context.Context, s localstack.Clients, l load, stream string) (int64, error) {
	var source consumer.Source = kinesissource.New(s.Kinesis(), stream, &kinesissource.Config{Busy: haste})
	if l.API == streamsAPI {
		source = ddbsource.New(nil, s.Streams(), stream, &ddbsource.Config{StreamARN: l.arn(stream), Busy: haste})
	}
	return drain(ctx, source, l.records(stream))
}

// drain consumes so many records with a handler that does nothing, and stops as it should.
func drain(ctx context.Context, source consumer.Source, records int64) (int64, error) {
	return consume(ctx, source, records, func(c *counter) consumer.Handler {
		return consumer.Each(func(context.Context, consumer.Record) error {
			c.add(1)
			return nil
		})
	})
}

// drainBatches is drain with a handler that takes what is ready.
func drainBatches(ctx context.Context, source consumer.Source, records int64) (int64, error) {
	return consume(ctx, source, records, func(c *counter) consumer.Handler {
		return consumer.HandlerFunc(func(_ context.Context, rs []consumer.Record) error {
			c.add(len(rs))
			return nil
		})
	})
}

func consume(ctx context.Context, source consumer.Source, records int64, handler func(*counter) consumer.Handler) (int64, error) {
	ctx, stop := context.WithTimeout(ctx, 5*time.Minute)
	defer stop()
	c := newCounter(records, stop)
	var troubles troubles
	err := consumer.Run(ctx, consumer.Config{
		Name: "bench", Source: source, Leases: memlease.New(),
		Handler: handler(c),
		Hooks: consumer.Hooks{Error: func(f consumer.Failed) {
			if c.n.Load() < records {
				troubles.add(f.Err)
			}
		}},
	})
	return c.n.Load(), errors.Join(err, troubles.all())
}

// troubles are what went wrong while it was measured: a measurement with troubles is none.
type troubles struct {
	mu   sync.Mutex
	errs []error
}

func (t *troubles) add(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.errs = append(t.errs, err)
}

// note is add of what may be none.
func (t *troubles) note(err error) {
	if err != nil {
		t.add(err)
	}
}

// first is the first error, and how many there were.
func (t *troubles) first() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.errs) == 0 {
		return nil
	}
	return fmt.Errorf("%d troubles, the first: %w", len(t.errs), t.errs[0])
}

func (t *troubles) all() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return errors.Join(t.errs...)
}
