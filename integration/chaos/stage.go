package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/internal/torment"
	"github.com/runnelhq/runnel/localstack"
)

// stage is a stream, a store and a crew that are one run's alone.
type stage struct {
	stream  *stream
	storage *storage
	crew    *crew
}

func newStage(ctx context.Context, services localstack.Clients, store string, shards int, job task) (*stage, error) {
	k, err := storeOf(store)
	if err != nil {
		return nil, err
	}
	s := &stage{}
	if s.stream, err = newStream(ctx, services, shards); err != nil {
		return nil, err
	}
	if s.storage, err = k.begin(ctx, services); err != nil {
		return nil, errors.Join(err, s.stream.Remove(ctx))
	}
	job.Stream, job.App = s.stream.Name, "chaos"
	s.crew, err = newCrew(services, k, s.storage, job)
	return s, err
}

// drained is how long it may take to handle what was put, once nothing more is.
const drained = time.Minute

// play puts records while act acts, and then until all of them are handled, or too much time has passed: what is missing is for [verify] to say.
func (s *stage) play(ctx context.Context, l load, act func(context.Context) error) error {
	producing, end := context.WithCancel(ctx)
	defer end()
	produced := make(chan error, 1)
	acting, failed := context.WithCancelCause(ctx)
	defer failed(nil)
	go func() {
		err := s.stream.produce(producing, l)
		if err != nil {
			failed(err)
		}
		produced <- err
	}()
	err := act(acting)
	end()
	if err = errors.Join(err, <-produced); err != nil {
		return err
	}
	records := s.stream.records()
	_ = s.until(ctx, drained, "all is handled", func() bool { return s.crew.lacks(records) == 0 })
	return nil
}

// close stops the crew, takes down the stage, and gives what is known of the run.
func (s *stage) close(ctx context.Context) (history, error) {
	ctx = context.WithoutCancel(ctx)
	_ = s.crew.TerminateAll() // what did not stop cleanly is told by its events
	err := s.crew.Dismiss()
	parents, listErr := s.stream.Shards(ctx)
	h := history{records: s.stream.records(), parents: parents, events: s.crew.seen(0)}
	return h, errors.Join(err, listErr, s.stream.Remove(ctx), s.storage.end(ctx))
}

// until waits until ok holds, and says so if it does not in time, or if a worker has ended by itself.
func (s *stage) until(ctx context.Context, limit time.Duration, what string, ok func() bool) error {
	deadline := torment.Clock() + limit
	for !ok() {
		if name := s.crew.deserter(); name != "" {
			return fmt.Errorf("%s ended by itself before it held that %s", name, what)
		}
		if torment.Clock() > deadline {
			return fmt.Errorf("after %v it does not hold that %s; shards of each worker: %v", limit, what, s.crew.spread())
		}
		if err := backoff.Wait(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// settled waits until at least so many shards are owned by workers that run, spread as evenly as they can be, and each was handled by its owner.
func (s *stage) settled(ctx context.Context, shards int, limit time.Duration) error {
	return s.until(ctx, limit, fmt.Sprintf("%d shards are spread and handled", shards), func() bool {
		spread := s.crew.spread()
		n := 0
		for _, k := range spread {
			n += k
		}
		return n >= shards && slices.Max(spread)-slices.Min(spread) <= 1 && s.crew.allBegun()
	})
}
