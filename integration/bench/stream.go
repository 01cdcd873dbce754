package main

import (
	"context"
	"fmt"
	"math/big"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/localstack"
)

// stream is a stream of Kinesis on a real endpoint. Its records hold the instant at which they were sent.
type stream struct {
	name   string
	client *kinesis.Client
	hashes []string // of each shard: a hash key in its middle
}

// unique is a name that no other run has.
func unique(prefix string) string { return fmt.Sprintf("%s-%016x", prefix, rand.Uint64()) }

func newStream(ctx context.Context, c localstack.Clients, shards int) (*stream, error) {
	s := &stream{name: unique("bench"), client: c.Kinesis()}
	_, err := s.client.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: &s.name, ShardCount: aws.Int32(int32(shards))})
	if err != nil {
		return nil, err
	}
	if err := kinesis.NewStreamExistsWaiter(s.client).Wait(ctx, &kinesis.DescribeStreamInput{StreamName: &s.name}, time.Minute); err != nil {
		return nil, err
	}
	listed, err := s.client.ListShards(ctx, &kinesis.ListShardsInput{StreamName: &s.name})
	if err != nil {
		return nil, err
	}
	for _, sh := range listed.Shards {
		s.hashes = append(s.hashes, middle(sh.HashKeyRange))
	}
	return s, nil
}

func middle(r *types.HashKeyRange) string {
	from, _ := new(big.Int).SetString(aws.ToString(r.StartingHashKey), 10)
	to, _ := new(big.Int).SetString(aws.ToString(r.EndingHashKey), 10)
	sum := from.Add(from, to)
	return sum.Rsh(sum, 1).String()
}

// put sends a record to the n-th shard.
func (s *stream) put(ctx context.Context, n int) error {
	_, err := s.client.PutRecord(ctx, &kinesis.PutRecordInput{
		StreamName: &s.name, PartitionKey: aws.String(strconv.Itoa(n)), ExplicitHashKey: &s.hashes[n],
		Data: strconv.AppendInt(nil, time.Now().UnixNano(), 10),
	})
	return err
}

// age is how long ago a record was sent: before the request that put it.
func age(r consumer.Record) (time.Duration, error) {
	sent, err := strconv.ParseInt(string(r.Data), 10, 64)
	return time.Duration(time.Now().UnixNano() - sent), err
}

// pause waits for so many seconds.
func pause(ctx context.Context, seconds int) error {
	return backoff.Wait(ctx, time.Duration(seconds)*time.Second)
}
