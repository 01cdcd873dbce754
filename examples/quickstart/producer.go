package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// producer casts the votes of an election at a steady pace, from where it ended the last time.
type producer struct {
	election

	boxes []box
	over  time.Duration // the time that all votes take
	put   atomic.Int64  // votes in the boxes
}

// Votes are put together that are due within so long, up to so many.
const (
	putEvery = 50 * time.Millisecond
	putMost  = 500
)

// run returns when all votes are cast. The boxes are filled side by side.
func (p *producer) run(ctx context.Context) error {
	all, ctx := errgroup.WithContext(ctx)
	for i, b := range p.boxes {
		all.Go(func() error {
			if err := p.fill(ctx, i, b); err != nil {
				return fmt.Errorf("put votes into %s: %w", b.name(), err)
			}
			return nil
		})
	}
	return all.Wait()
}

// fill casts the votes of the i-th box.
func (p *producer) fill(ctx context.Context, i int, b box) error {
	has, err := b.resume(ctx)
	if err != nil {
		return err
	}
	var ready []vote
	var begun time.Time // when the vote number first was due
	var first int
	for v := range p.votes() {
		if share(v.Voter, len(p.boxes)) != i {
			continue
		}
		there, err := has(v)
		switch {
		case err != nil:
			return err
		case there:
			p.put.Add(1)
			continue
		case begun.IsZero():
			begun, first = time.Now(), v.N
		}
		due := begun.Add(time.Duration(float64(p.over) * float64(v.N-first) / float64(p.Records)))
		if len(ready) == putMost || time.Until(due) > putEvery {
			if err := p.cast(ctx, b, ready); err != nil {
				return err
			}
			ready = ready[:0]
			select {
			case <-time.After(time.Until(due)):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		ready = append(ready, v)
	}
	return p.cast(ctx, b, ready)
}

func (p *producer) cast(ctx context.Context, b box, votes []vote) error {
	if len(votes) == 0 {
		return nil
	}
	if err := b.put(ctx, votes); err != nil {
		return err
	}
	p.put.Add(int64(len(votes)))
	return nil
}
