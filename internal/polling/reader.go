// Package polling reads a shard of a service that gives records for iterators: Kinesis and DynamoDB Streams. It keeps the pace, opens iterators anew, tries
// failed requests again, and cuts pages to what was asked for. What the two services do differently is behind [Service].
package polling

import (
	"context"
	"fmt"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/internal/awserr"
)

// patience is how long a Reader tries again before it returns an error.
const patience = 5 * time.Second

// guess is the size of a record in memory before one was seen.
const guess = 4 << 10

// Service asks for one shard. Its methods are called by one goroutine at a time.
type Service interface {
	// Iterate opens an iterator. What the service does not find is told apart: the error wraps [consumer.ErrNoStream],
	// [consumer.ErrNoShard] or [consumer.ErrTrimmed].
	Iterate(ctx context.Context, at checkpoint.Start) (Iterator, error)
	// Get reads at most limit records.
	Get(ctx context.Context, iterator string, limit int) (Answer, error)
	// Ended tells whether the shard is closed, and which shards continue it, as far as they can be found. It is asked when an answer
	// has no next iterator, and limits and repeats its requests itself.
	Ended(ctx context.Context) (children []consumer.Shard, ended bool, err error)
}

// Iterator is where reading goes on.
type Iterator struct {
	ID    string
	Older time.Time // records that arrived before it are skipped, up to the first that did not
}

// Answer is what one request gave.
type Answer struct {
	Batch    *Batch
	Wire     int64  // all records as the service counts them
	Next     string // "": the shard seems to have ended
	Children []consumer.Shard
	Behind   time.Duration
	More     bool // the shard is known to have more records
}

// Options are the limits of a Reader. All but Rate and Closed must be set.
type Options struct {
	Intervals
	What       string // names source, stream and shard in errors
	Rate       int64  // bytes a second that the service gives; 0: any
	MaxRecords int    // that the service gives at once
	Closed     bool   // no record will be added: there is nothing to wait for
}

// Reader is a [consumer.Reader].
type Reader struct {
	service Service
	options Options
	pace    pace

	at       checkpoint.Start // where an iterator is opened when there is none
	iterator string           // "": none
	skipTo   time.Time        // not zero: see Iterator.Older
	skipPast checkpoint.Position
	failures int   // in a row
	size     int64 // of a record, on average; 0: none was seen

	batch    *Batch // of the last answer, until all of it was given
	given    int    // how many of its records were given or skipped
	behind   time.Duration
	through  checkpoint.Position
	skipped  checkpoint.Position // everything up to here was given or skipped
	children []consumer.Shard
	end      end
}

// end is how near the end of the shard a Reader is.
type end int

const (
	open    end = iota
	closing     // an answer had no next iterator, and nothing confirms it yet
	ended       // all records are fetched
)

// Open begins to read at a start that stays where it is: neither LATEST nor the end.
func Open(ctx context.Context, s Service, at checkpoint.Start, o Options) (*Reader, error) {
	if at.Kind() == checkpoint.StartLatest || at.Position().IsEnd() {
		return nil, fmt.Errorf("%s: a shard cannot be opened at %v", o.What, at)
	}
	r := &Reader{service: s, options: o, pace: newPace(o.Busy, o.Idle, o.Rate), at: at}
	if err := r.attempt(ctx, r.ensure); err != nil {
		return nil, err
	}
	return r, nil
}

// Next is [consumer.Reader.Next].
func (r *Reader) Next(ctx context.Context, w consumer.Want) (consumer.Page, error) {
	if r.batch == nil {
		if err := r.fetch(ctx, w); err != nil {
			return consumer.Page{}, err
		}
	}
	p := r.cut(w)
	if r.batch != nil || r.end == open {
		return p, nil
	}
	if err := r.confirm(ctx); err != nil {
		if len(p.Records) > 0 {
			return p, nil // the next call asks again
		}
		return consumer.Page{}, err
	}
	if r.end == ended {
		p.End, p.Children = true, r.children
	}
	return p, nil
}

// Close frees what was fetched.
func (r *Reader) Close() error {
	r.batch = nil
	return nil
}

func (r *Reader) fetch(ctx context.Context, w consumer.Want) error {
	if r.end != open {
		return nil
	}
	return r.attempt(ctx, func(ctx context.Context) error {
		if err := r.ensure(ctx); err != nil {
			return err
		}
		return r.get(ctx, r.limit(w))
	})
}

// attempt waits until the service may be asked, and calls f until it succeeds. It gives up where trying again is of no use, or when it has been silent for
// too long; the next call goes on with the same back-off.
func (r *Reader) attempt(ctx context.Context, f func(context.Context) error) error {
	if err := r.pace.wait(ctx); err != nil {
		return err
	}
	for began := time.Now(); ; {
		err := f(ctx)
		if err == nil {
			r.failures = 0
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		err = Explain(err)
		r.failed(err)
		if isFact(err) || r.pace.next.Sub(began) > patience {
			return fmt.Errorf("%s: %w", r.options.What, err)
		}
		if err := r.pace.wait(ctx); err != nil {
			return err
		}
	}
}

// failed decides what the next attempt does differently.
func (r *Reader) failed(err error) {
	r.failures++
	kind := awserr.Of(err)
	switch {
	case isFact(err):
		r.iterator = ""
	case kind == awserr.Expired, kind == awserr.Invalid, kind == awserr.NotFound:
		first := r.iterator != "" && r.failures == 1
		r.iterator = "" // a new one tells whether the shard is there
		if first {
			return // nothing is wrong with the service, so nothing is waited for
		}
	case kind == awserr.Throttled:
	case r.failures%2 == 0:
		r.iterator = "" // what the service stumbles over may be the iterator
	}
	r.pace.failed(r.failures, kind == awserr.Throttled)
}

// ensure opens an iterator if there is none.
func (r *Reader) ensure(ctx context.Context) error {
	if r.iterator != "" {
		return nil
	}
	return Call(ctx, r.options.Timeout, func(ctx context.Context) error {
		it, err := r.service.Iterate(ctx, r.at)
		if err != nil {
			return err
		}
		r.iterator = it.ID
		if !it.Older.IsZero() {
			r.skipTo = it.Older
		}
		if p := r.at.Position(); p.Aggregated() > 0 {
			r.skipPast = p // the iterator gives the whole aggregate again
		}
		return nil
	})
}

func (r *Reader) get(ctx context.Context, limit int) error {
	var a Answer
	began := time.Now()
	err := Call(ctx, r.options.Timeout, func(ctx context.Context) (err error) {
		a, err = r.service.Get(ctx, r.iterator, limit)
		return err
	})
	if awserr.Of(err) == awserr.Trimmed {
		return r.trimmed(err)
	}
	if err != nil {
		return err
	}
	n := len(a.Batch.Records)
	r.pace.answered(began, a.Wire, a.More || n > 0 || r.options.Closed)
	if n > 0 {
		r.at = checkpoint.After(a.Batch.Records[n-1].Position)
	}
	r.batch, r.given = a.Batch, r.skip(a.Batch.Records)
	r.measure(a.Batch.Sizes[r.given:])
	r.iterator, r.children, r.behind = a.Next, a.Children, a.Behind
	if a.Next == "" {
		r.end = closing
	}
	return nil
}

// trimmed tells what it means that records are gone from under an iterator: nothing, for one that was to begin at the oldest record.
func (r *Reader) trimmed(err error) error {
	r.iterator = ""
	if r.at.Kind() == checkpoint.StartAfter {
		return fmt.Errorf("%w: after %v: %w", consumer.ErrTrimmed, r.at.Position(), err)
	}
	return err
}

// skip counts the records that lie before the start.
func (r *Reader) skip(records []consumer.Record) int {
	n := 0
	for ; n < len(records); n++ {
		rec := &records[n]
		old := rec.Arrived.Before(r.skipTo) && !rec.Arrived.IsZero()
		if !old && (r.skipPast.IsZero() || r.skipPast.Before(rec.Position)) {
			r.skipTo, r.skipPast = time.Time{}, checkpoint.Position{}
			break
		}
		r.skipped = rec.Position
	}
	return n
}

// measure keeps the average size, in which the last answer counts for a quarter.
func (r *Reader) measure(sizes []int64) {
	if len(sizes) == 0 {
		return
	}
	var sum int64
	for _, size := range sizes {
		sum += size
	}
	average := max(1, sum/int64(len(sizes)))
	if r.size == 0 {
		r.size = average
	}
	r.size = (3*r.size + average) / 4
}

// limit turns what is wanted into a number of records: the services cannot be asked for bytes.
func (r *Reader) limit(w consumer.Want) int {
	n := r.options.MaxRecords
	if w.Records > 0 {
		n = min(n, w.Records)
	}
	if w.Bytes > 0 {
		size := r.size
		if size == 0 {
			size = guess
		}
		n = int(min(int64(n), w.Bytes/size))
	}
	return max(1, n)
}

// cut takes from what was fetched as much as is wanted, and at least one record.
func (r *Reader) cut(w consumer.Want) consumer.Page {
	p := consumer.Page{Behind: r.behind}
	if r.batch != nil {
		records, sizes := r.batch.Records[r.given:], r.batch.Sizes[r.given:]
		n := 0
		for ; n < len(records); n++ {
			if n > 0 && (w.Records > 0 && n >= w.Records || w.Bytes > 0 && p.Bytes+sizes[n] > w.Bytes) {
				break
			}
			p.Bytes += sizes[n]
		}
		p.Records = records[:n:n]
		r.lend(&p)
	}
	if n := len(p.Records); n > 0 {
		r.through = p.Records[n-1].Position
	} else if r.through.Before(r.skipped) {
		r.through = r.skipped
	}
	p.Through = r.through
	return p
}

// lend makes p a user of the batch that it was cut from. The Reader's own use ends with the last page.
func (r *Reader) lend(p *consumer.Page) {
	if len(p.Records) > 0 {
		r.batch.users.Add(1)
		p.Release = r.batch.release
	}
	if r.given += len(p.Records); r.given == len(r.batch.Records) {
		r.batch.release()
		r.batch = nil
	}
}

// confirm asks whether the shard has ended, unless the answer itself named the children: an answer cut down to nothing looks like an end.
func (r *Reader) confirm(ctx context.Context) error {
	if r.end == ended {
		return nil
	}
	if len(r.children) > 0 {
		r.end = ended
		return nil
	}
	if r.failures > 0 {
		if err := r.pace.wait(ctx); err != nil {
			return err
		}
	}
	children, over, err := r.service.Ended(ctx)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		r.failures++
		r.pace.failed(r.failures, false)
		return fmt.Errorf("%s: find out whether it has ended: %w", r.options.What, err)
	case over:
		r.end, r.children = ended, children
	default:
		r.end = open // the iterator is gone: the shard is opened again after the last record
		r.failures++
		r.pace.failed(r.failures, false)
	}
	return nil
}
