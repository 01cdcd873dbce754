package consumer

import (
	"context"
	"errors"
	"fmt"

	"github.com/runnelhq/runnel/deadletter"
	"github.com/runnelhq/runnel/dedup"
)

// Redrive hands letters of Failure.Letters, which must be a [deadletter.Store], to the handler once more: those of q, whose zero value is all letters of the application and of the stream that has the name now. They come one at a
// time, in the order of their keys, within Flow.Limiter and Failure.Timeout; a record has Redriven set, and an Attempt that goes on from the letter's. What the handler did is removed; a letter that fails again
// stays, with the failure in its history, and holds up the later ones of its key if the key is parked. With its last letter a key is no longer parked: its next record goes to the handler.
//
// [Defer] keeps nothing of a redriven record: a handler that calls it has failed.
//
// With a [Config].Sink that decides: a record that was applied after all, or again after a reset, is void, and its letter goes; one that is still with the owner of its shard fails with [dedup.ErrPending], and stays.
//
// It may be called while Run runs, in this process or another, and may be interrupted at any time. The letters of keys that are not parked come late, behind records that were handled since.
func (c *Consumer) Redrive(ctx context.Context, q deadletter.Query) (deadletter.Redriven, error) {
	store, ok := c.cfg.Failure.Letters.(deadletter.Store)
	if !ok {
		return deadletter.Redriven{}, fmt.Errorf("consumer: redrive: Config.Failure.Letters is %T: give the deadletter.Store that has the letters", c.cfg.Failure.Letters)
	}
	if err := c.setUp(ctx); err != nil || ctx.Err() != nil {
		return deadletter.Redriven{}, errors.Join(err, context.Cause(ctx))
	}
	if q.Scope == (deadletter.Scope{}) {
		st, err := c.cfg.Source.Stream(ctx)
		if err != nil {
			return deadletter.Redriven{}, fmt.Errorf("consumer: redrive: ask for the stream: %w", err)
		}
		q.Scope = deadletter.Scope{App: c.cfg.Name, Stream: st.Incarnation}
	}
	o := deadletter.RedriveOptions{Worker: c.cfg.Worker, Limiter: c.cfg.Flow.Limiter}
	done, err := deadletter.Redrive(ctx, store, q, o, func(ctx context.Context, l deadletter.Letter) error {
		err := c.redrive(ctx, l)
		if err != nil && ctx.Err() == nil {
			c.log.Warn("redrive failed, the letter stays", "letter", l.ID(), "key", l.Key, "error", err)
		}
		return err
	})
	if err != nil {
		err = fmt.Errorf("consumer: redrive: %w", err)
	}
	return done, err
}

// redrive hands one letter to the handler.
func (c *Consumer) redrive(ctx context.Context, l deadletter.Letter) error {
	rec, err := c.record(l)
	if err != nil {
		return err
	}
	mark, marked := l.Attributes[recordMark]
	switch {
	case marked && c.cfg.Sink == nil:
		return errors.New("consumer: Config.Sink is nil, and the sink of the consumer that wrote the letter decides whether its record is applied: redrive it with that")
	case !marked && c.cfg.Sink != nil:
		return errors.New("consumer: the letter was written by a consumer without Config.Sink, which knows nothing of its record: redrive it without")
	}
	if limit := c.cfg.Failure.Timeout; limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, ErrTimeout)
		defer cancel()
	}
	w := &window{redriving: true, sunk: c.cfg.Sink != nil, stamp: dedup.Mark{App: l.App, Key: l.Key}}
	if marked { // as it was noted, whatever the order is now
		if w.stamp.Scope, w.stamp.Alone, err = toldBy(mark); err != nil {
			return err
		}
	}
	rec.in = w
	err = outcomeOf(1, handle(ctx, c.cfg.Handler, []Record{rec})).why
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil && w.kept {
		err = errors.New("consumer: Defer keeps nothing of a redriven record: have the handler do the work before it returns where Record.Redriven is set")
	}
	return err
}

// record is a letter as a record.
func (c *Consumer) record(l deadletter.Letter) (Record, error) {
	rec := Record{
		Stream: l.Stream, Shard: l.Shard, Key: l.Key, Position: l.Position, Arrived: l.Arrived,
		Attempt: l.Attempts + len(l.History) + 1, Epoch: l.Epoch, Generation: l.Generation, Redriven: true,
	}
	if key, other := l.Attributes[recordKey]; other {
		rec.Key = key
	}
	if !l.Encoded {
		rec.Data = l.Payload
		return rec, nil
	}
	codec, ok := c.cfg.Source.(Codec)
	if !ok {
		return rec, errors.New("consumer: the letter holds a record of a source with a codec, and Config.Source has none: redrive it with the source that it came from")
	}
	return rec, codec.Decode(l.Payload, &rec)
}
