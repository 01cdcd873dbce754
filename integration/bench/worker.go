package main

import (
	"cmp"
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/kinesissource"
	"github.com/runnelhq/runnel/lease/ddblease"
	"github.com/runnelhq/runnel/localstack"
)

// onEndpoint runs measure beside a worker on s that has the defaults of everything, and hands every record to handle.
func onEndpoint(ctx context.Context, c localstack.Clients, s *stream, hooks consumer.Hooks,
	handle func(consumer.Record) error, measure func(context.Context) error,
) error {
	var troubles troubles
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	assigned := make(chan struct{}, len(s.hashes))
	hooks = consumer.JoinHooks(hooks, consumer.Hooks{
		Assigned: func(consumer.Assigned) { assigned <- struct{}{} },
		Error:    func(f consumer.Failed) { troubles.add(f.Err) },
	})
	group.Go(func() error {
		return consumer.Run(ctx, consumer.Config{
			Name: "bench", Source: kinesissource.New(c.Kinesis(), s.name, nil),
			Leases:  ddblease.New(c.DynamoDB(), unique("leases"), nil),
			Handler: consumer.Each(func(_ context.Context, r consumer.Record) error { return handle(r) }),
			Hooks:   hooks,
		})
	})
	group.Go(func() error {
		defer stop()
		for range s.hashes {
			select {
			case <-assigned:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return errors.Join(measure(ctx), troubles.all())
	})
	return group.Wait()
}

// withStack runs measure on the services that package localstack starts.
func withStack(ctx context.Context, r *report, measure func(*localstack.Stack) error) (err error) {
	s, err := localstack.Start(ctx, localstack.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	r.printf("endpoints: %s\n", s.Kind)
	return measure(s)
}

// inRounds has the same services measured as many times as the options say, for as many seconds.
func inRounds(ctx context.Context, o options, rounds int, r *report, measure func(context.Context, int, *report, localstack.Clients) error) error {
	return withStack(ctx, r, func(stack *localstack.Stack) error {
		for range cmp.Or(o.Count, rounds) {
			if err := measure(ctx, cmp.Or(o.Seconds, 60), r, stack.Clients); err != nil {
				return err
			}
		}
		return nil
	})
}
