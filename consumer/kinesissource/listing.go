package kinesissource

import (
	"context"
	"iter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/internal/awserr"
	"github.com/runnelhq/runnel/internal/polling"
)

// Shards lists all shards, by ListShards without a filter. When a page cannot be had, the shards of the pages before it come first and the
// error last.
func (s *Source) Shards(ctx context.Context, st consumer.Stream) iter.Seq2[consumer.Shard, error] {
	return func(yield func(consumer.Shard, error) bool) {
		if err := s.Validate(); err != nil {
			yield(consumer.Shard{}, err)
			return
		}
		listed, failure := s.list(ctx)
		// A stream made anew under the same name has shards of the same names.
		if _, err := s.same(ctx, st.Incarnation, time.Now()); err != nil {
			yield(consumer.Shard{}, err)
			return
		}
		for _, sh := range polling.ParentsFirst(listed) {
			if !yield(sh, nil) {
				return
			}
		}
		if failure != nil {
			yield(consumer.Shard{}, s.errorf("list the shards: %w", polling.Explain(failure)))
		}
	}
}

// list gives what it has also when it fails.
func (s *Source) list(ctx context.Context) ([]consumer.Shard, error) {
	var listed []consumer.Shard
	var token *string
	for restarts := 0; ; {
		page, err := s.page(ctx, token)
		if kind := awserr.Of(err); token != nil && (kind == awserr.Expired || kind == awserr.Invalid) && restarts < 3 {
			restarts++ // a token lives 300 s
			token = nil
			continue
		}
		if err != nil {
			return listed, err
		}
		for _, sh := range page.Shards {
			listed = append(listed, shardOf(sh))
		}
		if aws.ToString(page.NextToken) == "" {
			return listed, nil
		}
		token = page.NextToken
	}
}

func (s *Source) page(ctx context.Context, token *string) (*kinesis.ListShardsOutput, error) {
	in := &kinesis.ListShardsInput{NextToken: token}
	if token == nil { // with a token the stream must not be named
		in.StreamName, in.StreamARN = s.ref()
	}
	var out *kinesis.ListShardsOutput
	err := polling.Retry(ctx, 4, func() error {
		return polling.Call(ctx, s.every.Timeout, func(ctx context.Context) (err error) {
			if out, err = s.client.ListShards(ctx, in); err == nil && len(out.Shards) == 0 {
				err = errEmpty
			}
			return err
		})
	})
	return out, err
}

func shardOf(sh types.Shard) consumer.Shard {
	out := consumer.Shard{ID: aws.ToString(sh.ShardId)}
	for _, parent := range []*string{sh.ParentShardId, sh.AdjacentParentShardId} {
		if id := aws.ToString(parent); id != "" {
			out.Parents = append(out.Parents, id)
		}
	}
	if r := sh.SequenceNumberRange; r != nil {
		out.Closed = aws.ToString(r.EndingSequenceNumber) != ""
	}
	return out
}
