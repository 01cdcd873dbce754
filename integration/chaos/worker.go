package main

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/kinesissource"
	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/internal/torment"
	"github.com/runnelhq/runnel/localstack"
)

// work is a worker until ctx ends. It uses what is public of the library and nothing else.
func (t task) work(ctx context.Context) error {
	// A stop while it asks for the services is a stop, and no failure.
	services, err := localstack.Start(context.WithoutCancel(ctx), localstack.Options{Kind: localstack.Environment})
	if err != nil {
		return err
	}
	store, closeStore, err := openStore(services.Clients, t.Store)
	if err != nil {
		return err
	}
	store, watched := watch(store, t.Worker)
	h := &handling{task: t}
	cfg := consumer.Config{
		Name: t.App, Worker: t.Worker,
		Source:  kinesissource.New(services.Kinesis(), t.Stream, &kinesissource.Config{Busy: t.Busy, Idle: t.Idle}),
		Leases:  store,
		Handler: consumer.Each(h.broken()), Timing: t.Timing,
		Hooks: t.hooks(),
	}
	if t.Break == secondPath {
		cfg.Leases = &secondPathStore{watchedStore: watched}
	}
	switch {
	case t.EveryN == 0:
		cfg.Checkpoint = checkpoint.EveryRecord{}
	case t.EveryN > 0:
		cfg.Checkpoint = checkpoint.EveryN(t.EveryN)
	}
	life, end := context.WithCancel(ctx)
	var beside sync.WaitGroup
	beside.Go(func() { t.tellFreezes(life) })
	t.say(event{Kind: ready})
	err = consumer.Run(ctx, cfg)
	end()
	beside.Wait()
	services.CloseIdleConnections()
	return errors.Join(err, closeStore())
}

func (t task) hooks() consumer.Hooks {
	return consumer.Hooks{
		Assigned: func(a consumer.Assigned) {
			t.say(event{Kind: assigned, Shard: a.Shard, Epoch: a.Epoch, Text: a.Start.String()})
		},
		Lost: func(l consumer.Lost) {
			t.say(event{Kind: lost, Shard: l.Shard, Epoch: l.Epoch, Position: l.Position, Text: string(l.Reason), Failed: l.Err != nil})
		},
		Checkpointed: func(c consumer.Checkpointed) {
			t.say(event{Kind: stored, Shard: c.Shard, Epoch: c.Epoch, Position: c.Position})
		},
		Error: func(f consumer.Failed) { t.say(event{Kind: troubled, Shard: f.Shard, Text: f.Err.Error()}) },
	}
}

// say tells the parent. One that is gone ends the process.
func (t task) say(e event) {
	e.At, e.Worker = torment.Clock(), t.Worker
	_ = e.say()
}

// handling is the handler of a worker.
type handling struct {
	task

	mu    sync.Mutex
	calls int
	held  map[string]consumer.Record // by shard, see [reorder]
}

// handle is what a handler does that is as it should be: an effect takes its time, and is told at its begin and at its end.
func (h *handling) handle(ctx context.Context, r consumer.Record) error {
	n, err := strconv.Atoi(string(r.Data))
	if err != nil {
		return err
	}
	e := event{
		Kind: begun, Shard: r.Shard, Epoch: r.Epoch, Generation: r.Generation, Position: r.Position,
		Key: r.Key, N: n, Attempt: r.Attempt,
	}
	h.say(e)
	if err := backoff.Wait(ctx, h.Pace); err != nil {
		return err
	}
	e.Kind = done
	h.say(e)
	return nil
}

// A process that looks at the clock this often and finds that longer has passed was stopped, or had no processor.
const (
	look  = 50 * time.Millisecond
	pause = 300 * time.Millisecond
)

// tellFreezes tells when the process did not run: between the look whether a lease is valid and the call of the handler that follows, nothing protects
// but the sink.
func (t task) tellFreezes(ctx context.Context) {
	before := torment.Clock()
	for backoff.Wait(ctx, look) == nil {
		now := torment.Clock()
		if now-before > pause {
			t.say(event{Kind: frozen, From: before})
		}
		before = now
	}
}
