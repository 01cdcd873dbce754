package ddbsource

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/internal/polling"
)

// errEmpty is an answer that lacks what every answer has, such as one whose body was lost.
var errEmpty = errors.New("the answer is empty")

// Shards lists all shards, by DescribeStream without a filter. When a page cannot be had, the shards of the pages before it come first and
// the error last.
func (s *Source) Shards(ctx context.Context, st consumer.Stream) iter.Seq2[consumer.Shard, error] {
	return func(yield func(consumer.Shard, error) bool) {
		if err := s.Validate(); err != nil {
			yield(consumer.Shard{}, err)
			return
		}
		listed, _, failure := s.list(ctx, st.Incarnation, nil)
		for _, sh := range polling.ParentsFirst(listed) {
			if !yield(sh, nil) {
				return
			}
		}
		if failure != nil {
			yield(consumer.Shard{}, s.explain(st.Incarnation, failure))
		}
	}
}

// list gives what it has also when it fails. Whether the stream is disabled is known when a page was had.
func (s *Source) list(ctx context.Context, arn string, filter *types.ShardFilter) (listed []consumer.Shard, disabled bool, err error) {
	var last *string
	for {
		out, err := s.describe(ctx, &dynamodbstreams.DescribeStreamInput{
			StreamArn: &arn, ExclusiveStartShardId: last, ShardFilter: filter,
		})
		if err != nil {
			return listed, disabled, err
		}
		d := out.StreamDescription
		disabled = d.StreamStatus == types.StreamStatusDisabled
		for _, sh := range d.Shards {
			listed = append(listed, shardOf(sh))
		}
		next := aws.ToString(d.LastEvaluatedShardId)
		if next == "" {
			return listed, disabled, nil
		}
		if next == aws.ToString(last) {
			return listed, disabled, fmt.Errorf("the listing does not get past shard %s", next)
		}
		last = &next
	}
}

// describe makes one call of DescribeStream, not too soon after the last, and tries again where that can help.
func (s *Source) describe(ctx context.Context, in *dynamodbstreams.DescribeStreamInput) (*dynamodbstreams.DescribeStreamOutput, error) {
	var out *dynamodbstreams.DescribeStreamOutput
	err := polling.Retry(ctx, 4, func() error {
		if err := s.gate.Wait(ctx); err != nil {
			return err
		}
		return polling.Call(ctx, s.every.Timeout, func(ctx context.Context) (err error) {
			if out, err = s.streams.DescribeStream(ctx, in); err == nil && out.StreamDescription == nil {
				err = errEmpty
			}
			return err
		})
	})
	return out, err
}

func shardOf(sh types.Shard) consumer.Shard {
	out := consumer.Shard{ID: aws.ToString(sh.ShardId)}
	if parent := aws.ToString(sh.ParentShardId); parent != "" {
		out.Parents = []string{parent}
	}
	if r := sh.SequenceNumberRange; r != nil {
		out.Closed = aws.ToString(r.EndingSequenceNumber) != ""
	}
	return out
}
