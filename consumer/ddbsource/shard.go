package ddbsource

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/internal/awserr"
	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/internal/polling"
)

// The children of a shard that has just ended are looked for so often, after a first wait of hesitation and longer ones then.
const (
	searches   = 3
	hesitation = time.Second
)

// shard is one shard of one stream, as a [polling.Service].
type shard struct {
	source  *Source
	arn     string
	id      string
	closed  bool // when it was opened
	refused int  // how often AT_TIMESTAMP was answered with an internal error
	fresh   bool // the last iterator has not been used
}

// once leaves it to the Reader to try again: it knows the pace that the shard bears.
func once(o *dynamodbstreams.Options) { o.RetryMaxAttempts = 1 }

// Iterate opens an iterator.
func (sh *shard) Iterate(ctx context.Context, at checkpoint.Start) (polling.Iterator, error) {
	in := &dynamodbstreams.GetShardIteratorInput{StreamArn: &sh.arn, ShardId: &sh.id, ShardIteratorType: types.ShardIteratorTypeTrimHorizon}
	switch at.Kind() {
	case checkpoint.StartAtTime:
		return sh.iterateAt(ctx, in, at.Time())
	case checkpoint.StartAfter:
		in.ShardIteratorType = types.ShardIteratorTypeAfterSequenceNumber
		if at.Position().Aggregated() > 0 {
			in.ShardIteratorType = types.ShardIteratorTypeAtSequenceNumber
		}
		in.SequenceNumber = aws.String(at.Position().Sequence())
	}
	return sh.iterate(ctx, in)
}

// iterateAt begins at an instant. The times of records are cut to the second. An endpoint that does not know AT_TIMESTAMP refuses it, or
// fails each time; so does AWS for an instant in the future.
func (sh *shard) iterateAt(ctx context.Context, in *dynamodbstreams.GetShardIteratorInput, at time.Time) (polling.Iterator, error) {
	if sh.refused < 2 {
		timed := *in
		timed.ShardIteratorType, timed.Timestamp = types.ShardIteratorTypeAtTimestamp, aws.Time(at.Truncate(time.Second))
		it, err := sh.iterate(ctx, &timed)
		switch {
		case awserr.Of(err) == awserr.Invalid:
			sh.refused = 2
		case awserr.Of(err) == awserr.Other && awserr.Code(err) != "":
			if sh.refused++; sh.refused < 2 {
				return it, err
			}
		default:
			return it, err
		}
	}
	it, err := sh.iterate(ctx, in)
	it.Older = at.Truncate(time.Minute)
	return it, err
}

func (sh *shard) iterate(ctx context.Context, in *dynamodbstreams.GetShardIteratorInput) (polling.Iterator, error) {
	out, err := sh.source.streams.GetShardIterator(ctx, in, once)
	switch awserr.Of(err) {
	case awserr.NotFound:
		return polling.Iterator{}, sh.missing(ctx, err)
	case awserr.Trimmed:
		return polling.Iterator{}, fmt.Errorf("%w: %w", consumer.ErrTrimmed, err)
	}
	if err != nil {
		return polling.Iterator{}, err
	}
	if aws.ToString(out.ShardIterator) == "" {
		return polling.Iterator{}, errEmpty
	}
	sh.fresh = true
	return polling.Iterator{ID: *out.ShardIterator}, nil
}

// missing tells what it is that was not found.
func (sh *shard) missing(ctx context.Context, cause error) error {
	if _, err := sh.source.ask(ctx, sh.arn); err != nil {
		return err
	}
	return fmt.Errorf("%w: %w", consumer.ErrNoShard, cause)
}

// Get reads a page. Some endpoints open iterators on shards that have aged out, and do not find them then.
func (sh *shard) Get(ctx context.Context, iterator string, limit int) (polling.Answer, error) {
	out, err := sh.source.streams.GetRecords(ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: &iterator, Limit: aws.Int32(int32(limit))}, once)
	fresh := sh.fresh
	sh.fresh = false
	if fresh && awserr.Of(err) == awserr.NotFound {
		return polling.Answer{}, sh.missing(ctx, err)
	}
	if err != nil {
		return polling.Answer{}, err
	}
	a := polling.Answer{
		Next:  aws.ToString(out.NextShardIterator),
		Batch: sh.source.pool.Get(len(out.Records)),
	}
	for i := range out.Records {
		if err := sh.fill(&a.Batch.Records[i], &out.Records[i]); err != nil {
			return polling.Answer{}, err
		}
		a.Batch.Sizes[i] = sizeOf(&out.Records[i])
	}
	date, dated := awsmiddleware.GetServerTime(out.ResultMetadata)
	switch n := len(out.Records); {
	case n == 0 && !sh.closed:
		a.Behind = 0
	case n == 0 || !dated:
		a.Behind = -1
	default:
		a.Behind = max(0, date.Sub(a.Batch.Records[n-1].Arrived))
	}
	return a, nil
}

// Ended looks for the children of a shard whose last page was read: they may not be listed yet. Those that are not found in time are found
// by a later listing. A shard that is listed as open has not ended.
func (sh *shard) Ended(ctx context.Context) (children []consumer.Shard, ended bool, err error) {
	for i := 1; ; i++ {
		var final bool
		children, ended, final, err = sh.search(ctx)
		if final || i == searches || ctx.Err() != nil {
			return children, ended, polling.Explain(err)
		}
		if err := backoff.Wait(ctx, backoff.Jitter(time.Duration(i)*hesitation)); err != nil {
			return nil, false, err
		}
	}
}

// search looks once. It is final if a further look would not find more.
func (sh *shard) search(ctx context.Context) (children []consumer.Shard, ended, final bool, err error) {
	// Some endpoints ignore the filter, some answer it with nothing or refuse it: then the whole listing tells.
	listed, _, _ := sh.source.list(ctx, sh.arn, &types.ShardFilter{Type: types.ShardFilterTypeChildShards, ShardId: &sh.id})
	if children = polling.ChildrenOf(listed, sh.id); len(children) > 0 {
		return children, true, true, nil
	}
	listed, disabled, err := sh.source.list(ctx, sh.arn, nil)
	if children = polling.ChildrenOf(listed, sh.id); len(children) > 0 || err != nil {
		return children, len(children) > 0, len(children) > 0, err
	}
	self, known := polling.Find(listed, sh.id)
	ended = !known || self.Closed
	return nil, ended, disabled || !ended, nil
}
