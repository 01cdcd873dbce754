package kinesissource

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/internal/awserr"
	"github.com/runnelhq/runnel/internal/polling"
)

// errEmpty is an answer that lacks what every answer has, such as one whose body was lost.
var errEmpty = errors.New("the answer is empty")

// shard is one shard of one incarnation, as a [polling.Service].
type shard struct {
	source      *Source
	incarnation string
	id          string
	heard       time.Time // when the service last answered for the incarnation
}

// once leaves it to the Reader to try again: it knows the pace that the shard bears.
func once(o *kinesis.Options) { o.RetryMaxAttempts = 1 }

// Iterate opens an iterator, on the incarnation only.
func (sh *shard) Iterate(ctx context.Context, at checkpoint.Start) (polling.Iterator, error) {
	in := &kinesis.GetShardIteratorInput{ShardId: &sh.id, ShardIteratorType: types.ShardIteratorTypeTrimHorizon}
	in.StreamName, in.StreamARN = sh.source.ref()
	switch at.Kind() {
	case checkpoint.StartAtTime:
		in.ShardIteratorType, in.Timestamp = types.ShardIteratorTypeAtTimestamp, aws.Time(at.Time())
	case checkpoint.StartAfter:
		in.ShardIteratorType = types.ShardIteratorTypeAfterSequenceNumber
		if at.Position().Aggregated() > 0 {
			in.ShardIteratorType = types.ShardIteratorTypeAtSequenceNumber
		}
		in.StartingSequenceNumber = aws.String(at.Position().Sequence())
	}
	out, err := sh.source.client.GetShardIterator(ctx, in, once)
	if awserr.Of(err) == awserr.NotFound {
		return polling.Iterator{}, sh.missing(ctx, at, err)
	}
	if err != nil {
		return polling.Iterator{}, err
	}
	if aws.ToString(out.ShardIterator) == "" {
		return polling.Iterator{}, errEmpty
	}
	return polling.Iterator{ID: *out.ShardIterator}, sh.still(ctx)
}

// still makes sure that an answer came from the incarnation: positions, and on some endpoints iterators, work on another stream of the same name.
func (sh *shard) still(ctx context.Context) error {
	now := time.Now()
	if now.Sub(sh.heard) > swap {
		if _, err := sh.source.same(ctx, sh.incarnation, now.Add(-swap)); err != nil {
			return err
		}
	}
	sh.heard = now
	return nil
}

// missing tells what it is that GetShardIterator did not find.
func (sh *shard) missing(ctx context.Context, at checkpoint.Start, cause error) error {
	if _, err := sh.source.same(ctx, sh.incarnation, time.Now()); err != nil {
		return err
	}
	if at.Kind() != checkpoint.StartAfter {
		return fmt.Errorf("%w: %w", consumer.ErrNoShard, cause)
	}
	// Some endpoints look for the record too. AWS reads on at the oldest one.
	_, err := sh.Iterate(ctx, checkpoint.Start{})
	if err == nil {
		return fmt.Errorf("%w: after %v: %w", consumer.ErrTrimmed, at.Position(), cause)
	}
	return err
}

// Get reads a page.
func (sh *shard) Get(ctx context.Context, iterator string, limit int) (polling.Answer, error) {
	in := &kinesis.GetRecordsInput{ShardIterator: &iterator, Limit: aws.Int32(int32(limit))}
	_, in.StreamARN = sh.source.ref()
	out, err := sh.source.client.GetRecords(ctx, in, once)
	if err == nil {
		err = sh.still(ctx)
	}
	if err != nil {
		return polling.Answer{}, err
	}
	a := polling.Answer{Next: aws.ToString(out.NextShardIterator), Behind: -1}
	if out.MillisBehindLatest != nil {
		a.Behind = time.Duration(*out.MillisBehindLatest) * time.Millisecond
		a.More = *out.MillisBehindLatest > 0
	}
	for _, child := range out.ChildShards {
		a.Children = append(a.Children, consumer.Shard{ID: aws.ToString(child.ShardId), Parents: child.ParentShards})
	}
	a.Batch = sh.source.pool.Get(len(out.Records))
	for i := range out.Records {
		from, to := &out.Records[i], &a.Batch.Records[i]
		if err := sh.fill(to, from); err != nil {
			return polling.Answer{}, err
		}
		a.Batch.Sizes[i] = sizeOf(from)
		a.Wire += int64(len(from.Data) + len(to.Key))
	}
	return a, nil
}

// Ended looks the shard up in a listing: on AWS an answer without an iterator names the children, so that one which does not is no proof.
func (sh *shard) Ended(ctx context.Context) ([]consumer.Shard, bool, error) {
	listed, err := sh.source.list(ctx)
	children := polling.ChildrenOf(listed, sh.id)
	if len(children) > 0 {
		return children, true, nil
	}
	if err != nil {
		return nil, false, polling.Explain(err)
	}
	self, known := polling.Find(listed, sh.id)
	return nil, !known || self.Closed, nil
}
