//go:build engines

package integration

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/kinesissource"
	"github.com/runnelhq/runnel/localstack"
)

const kinesisService = "Kinesis"

// kinesisStream is a stream of Kinesis whose records are the values as decimal text.
type kinesisStream struct {
	client *kinesis.Client
	stream string
}

func newKinesisStream(t *testing.T, c localstack.Clients, shards int) *kinesisStream {
	t.Helper()
	s := &kinesisStream{c.Kinesis(), unique("stream")}
	s.create(t, shards)
	t.Cleanup(func() {
		err := s.remove(context.WithoutCancel(t.Context()))
		var gone *types.ResourceNotFoundException
		if err != nil && !errors.As(err, &gone) {
			t.Error(err)
		}
	})
	return s
}

func (s *kinesisStream) create(t *testing.T, shards int) {
	t.Helper()
	_, err := s.client.CreateStream(t.Context(), &kinesis.CreateStreamInput{
		StreamName: &s.stream, ShardCount: aws.Int32(int32(shards)),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.active(t)
}

// active waits until nothing of the stream is under way.
func (s *kinesisStream) active(t *testing.T) {
	t.Helper()
	eventually(t, says("stream %s is not active", s.stream), func() bool {
		out, err := s.client.DescribeStreamSummary(t.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: &s.stream})
		return err == nil && out.StreamDescriptionSummary.StreamStatus == types.StreamStatusActive
	})
}

func (s *kinesisStream) service() string { return kinesisService }
func (s *kinesisStream) name() string    { return s.stream }

func (s *kinesisStream) source(c localstack.Clients) consumer.Source {
	return kinesissource.New(c.Kinesis(), s.stream, &kinesissource.Config{Busy: 150 * time.Millisecond, Idle: time.Second})
}

func (s *kinesisStream) put(ctx context.Context, items []item) error {
	in := &kinesis.PutRecordsInput{StreamName: &s.stream}
	for _, it := range items {
		in.Records = append(in.Records, types.PutRecordsRequestEntry{
			PartitionKey: aws.String(it.Key), Data: []byte(strconv.Itoa(it.N)),
		})
	}
	out, err := s.client.PutRecords(ctx, in)
	if err == nil && aws.ToInt32(out.FailedRecordCount) > 0 {
		err = fmt.Errorf("%d records were refused", *out.FailedRecordCount)
	}
	return err
}

// putText adds one record with data that may be no number, and tells its shard.
func (s *kinesisStream) putText(t *testing.T, key, data string) (shard string) {
	t.Helper()
	out, err := s.client.PutRecord(t.Context(), &kinesis.PutRecordInput{
		StreamName: &s.stream, PartitionKey: &key, Data: []byte(data),
	})
	if err != nil {
		t.Fatal(err)
	}
	return aws.ToString(out.ShardId)
}

func (s *kinesisStream) read(r consumer.Record) (item, error) {
	n, err := strconv.Atoi(string(r.Data))
	return item{r.Key, n}, err
}

func (s *kinesisStream) remove(ctx context.Context) error {
	_, err := s.client.DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: &s.stream})
	return err
}

// open are the shards that take records, in the order of their hash keys.
func (s *kinesisStream) open(t *testing.T) []types.Shard {
	t.Helper()
	out, err := s.client.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: &s.stream})
	if err != nil {
		t.Fatal(err)
	}
	var open []types.Shard
	for _, sh := range out.Shards {
		if aws.ToString(sh.SequenceNumberRange.EndingSequenceNumber) == "" {
			open = append(open, sh)
		}
	}
	for i := range open {
		for j := i; j > 0 && number(open[j].HashKeyRange.StartingHashKey).Cmp(number(open[j-1].HashKeyRange.StartingHashKey)) < 0; j-- {
			open[j], open[j-1] = open[j-1], open[j]
		}
	}
	return open
}

func number(text *string) *big.Int {
	n, _ := new(big.Int).SetString(aws.ToString(text), 10)
	return n
}

// split closes a shard and opens two.
func (s *kinesisStream) split(t *testing.T, sh types.Shard) {
	t.Helper()
	sum := new(big.Int).Add(number(sh.HashKeyRange.StartingHashKey), number(sh.HashKeyRange.EndingHashKey))
	_, err := s.client.SplitShard(t.Context(), &kinesis.SplitShardInput{
		StreamName: &s.stream, ShardToSplit: sh.ShardId, NewStartingHashKey: aws.String(sum.Rsh(sum, 1).String()),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.active(t)
}

// merge closes two shards whose hash keys are neighbours and opens one.
func (s *kinesisStream) merge(t *testing.T, a, b types.Shard) {
	t.Helper()
	_, err := s.client.MergeShards(t.Context(), &kinesis.MergeShardsInput{
		StreamName: &s.stream, ShardToMerge: a.ShardId, AdjacentShardToMerge: b.ShardId,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.active(t)
}

// keyed tells the shard of each key, among the shards that take records now.
func (s *kinesisStream) keyed(t *testing.T) func(key string) string {
	t.Helper()
	open := s.open(t)
	return func(key string) string {
		sum := md5.Sum([]byte(key))
		hash := new(big.Int).SetBytes(sum[:])
		for _, sh := range open {
			if number(sh.HashKeyRange.StartingHashKey).Cmp(hash) <= 0 && hash.Cmp(number(sh.HashKeyRange.EndingHashKey)) <= 0 {
				return aws.ToString(sh.ShardId)
			}
		}
		return ""
	}
}

// gone tells whether there is no stream of the name.
func (s *kinesisStream) gone(t *testing.T) bool {
	t.Helper()
	_, err := s.client.DescribeStreamSummary(t.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: &s.stream})
	var none *types.ResourceNotFoundException
	return errors.As(err, &none)
}
