package main

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	streamstypes "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"golang.org/x/sync/errgroup"

	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/localstack"
)

// shardRate is what Kinesis gives of a shard, in bytes a second. The whole framework keeps to it, and cannot be told not to; so the SDK's loop keeps to it too, or
// one would be measured in haste and the other at leisure.
const shardRate = 2 << 20

var errTooFew = errors.New("the shard has fewer records than it should")

// readWithSDK is the loop that one writes without a library, for each shard at once.
func readWithSDK(ctx context.Context, s localstack.Clients, l load, stream string) (int64, error) {
	c := newCounter(l.records(stream), func() {})
	loop := func(ctx context.Context, shard string) error {
		return kinesisLoop(ctx, s.Kinesis(), stream, shard, l.perShard(stream), c)
	}
	if l.API == streamsAPI {
		loop = func(ctx context.Context, shard string) error {
			return streamsLoop(ctx, s.Streams(), l.arn(stream), shard, l.perShard(stream), c)
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	for i := range l.Shards {
		group.Go(func() error { return loop(ctx, l.shard(i)) })
	}
	err := group.Wait()
	return c.n.Load(), err
}

func kinesisLoop(ctx context.Context, client *kinesis.Client, stream, shard string, records int, c *counter) error {
	first, err := client.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{
		StreamName: &stream, ShardId: &shard, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
	})
	if err != nil {
		return err
	}
	for iterator := first.ShardIterator; records > 0; {
		begun := time.Now()
		out, err := client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: iterator})
		if err != nil {
			return err
		}
		if len(out.Records) == 0 {
			return errTooFew
		}
		bytes := 0
		for i := range out.Records {
			bytes += len(out.Records[i].Data) + len(aws.ToString(out.Records[i].PartitionKey))
			c.add(1)
		}
		iterator, records = out.NextShardIterator, records-len(out.Records)
		if records == 0 {
			return nil
		}
		if err := backoff.Wait(ctx, time.Until(begun.Add(time.Duration(bytes)*time.Second/shardRate))); err != nil {
			return err
		}
	}
	return nil
}

func streamsLoop(ctx context.Context, client *dynamodbstreams.Client, arn, shard string, records int, c *counter) error {
	first, err := client.GetShardIterator(ctx, &dynamodbstreams.GetShardIteratorInput{
		StreamArn: &arn, ShardId: &shard, ShardIteratorType: streamstypes.ShardIteratorTypeTrimHorizon,
	})
	if err != nil {
		return err
	}
	for iterator := first.ShardIterator; records > 0; {
		out, err := client.GetRecords(ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: iterator})
		if err != nil {
			return err
		}
		if len(out.Records) == 0 {
			return errTooFew
		}
		for range out.Records {
			c.add(1)
		}
		iterator, records = out.NextShardIterator, records-len(out.Records)
	}
	return nil
}
