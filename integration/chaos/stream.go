package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/localstack"
)

// stream is a stream of Kinesis that records are put into while it is split and merged.
type stream struct {
	name   string
	client *kinesis.Client

	resharding sync.Mutex // held while one is under way

	mu  sync.Mutex
	put []record
}

// record is one that was put, with what the service said of it.
type record struct {
	At       time.Duration // of the answer
	Key      string
	N        int
	Shard    string
	Position checkpoint.Position
}

func (r record) String() string { return fmt.Sprintf("%s/%d", r.Key, r.N) }

// unique is a name that no other run has.
func unique(prefix string) string { return fmt.Sprintf("%s-%016x", prefix, rand.Uint64()) }

func newStream(ctx context.Context, c localstack.Clients, shards int) (*stream, error) {
	s := &stream{name: unique("chaos"), client: c.Kinesis(func(o *kinesis.Options) { o.RetryMaxAttempts = 1 })}
	_, err := s.client.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: &s.name, ShardCount: aws.Int32(int32(shards))})
	if err != nil {
		return nil, err
	}
	return s, s.active(ctx)
}

// active waits until nothing of the stream is under way.
func (s *stream) active(ctx context.Context) error {
	for range 500 {
		out, err := s.client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &s.name})
		if err == nil && out.StreamDescriptionSummary.StreamStatus == types.StreamStatusActive {
			return nil
		}
		if err := backoff.Wait(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("stream %s is not active after 10 s", s.name)
}

func (s *stream) remove(ctx context.Context) error {
	_, err := s.client.DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: &s.name})
	return err
}

// load is how fast records are put.
type load struct {
	Keys  int
	Each  int // records of a call, each of another key
	Every time.Duration
	Most  int // records at all
}

// produce puts records until ctx ends. A call is never repeated, so that no record is there twice.
func (s *stream) produce(ctx context.Context, l load) error {
	last := make([]int, l.Keys)
	for next, n := 0, 0; n < l.Most; n += l.Each {
		in := &kinesis.PutRecordsInput{StreamName: &s.name}
		records := make([]record, l.Each)
		for i := range records {
			key := next % l.Keys
			next++
			last[key]++
			records[i] = record{Key: fmt.Sprintf("key-%02d", key), N: last[key]}
			in.Records = append(in.Records, types.PutRecordsRequestEntry{
				PartitionKey: aws.String(records[i].Key), Data: []byte(strconv.Itoa(last[key])),
			})
		}
		out, err := s.client.PutRecords(context.WithoutCancel(ctx), in)
		if err == nil && aws.ToInt32(out.FailedRecordCount) > 0 {
			err = errors.New("some were refused")
		}
		if err != nil {
			return fmt.Errorf("put records: %w", err)
		}
		if err := s.note(records, out.Records); err != nil {
			return err
		}
		if backoff.Wait(ctx, l.Every) != nil {
			return nil
		}
	}
	<-ctx.Done()
	return nil
}

func (s *stream) note(records []record, answers []types.PutRecordsResultEntry) error {
	at := clock()
	for i, a := range answers {
		p, err := checkpoint.Sequence(aws.ToString(a.SequenceNumber))
		if err != nil {
			return err
		}
		records[i].At, records[i].Shard, records[i].Position = at, aws.ToString(a.ShardId), p
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put = append(s.put, records...)
	return nil
}

// records are those put so far.
func (s *stream) records() []record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.put)
}

// shards are all shards, with their parents.
func (s *stream) shards(ctx context.Context) (map[string][]string, error) {
	all, err := s.list(ctx)
	parents := make(map[string][]string)
	for _, sh := range all {
		ids := []string{}
		for _, p := range []*string{sh.ParentShardId, sh.AdjacentParentShardId} {
			if aws.ToString(p) != "" {
				ids = append(ids, *p)
			}
		}
		parents[aws.ToString(sh.ShardId)] = ids
	}
	return parents, err
}

func (s *stream) list(ctx context.Context) ([]types.Shard, error) {
	out, err := s.client.ListShards(ctx, &kinesis.ListShardsInput{StreamName: &s.name})
	if err != nil {
		return nil, err
	}
	return out.Shards, nil
}

// open are the shards that take records, in the order of their hash keys.
func (s *stream) open(ctx context.Context) ([]types.Shard, error) {
	all, err := s.list(ctx)
	open := slices.DeleteFunc(all, func(sh types.Shard) bool { return aws.ToString(sh.SequenceNumberRange.EndingSequenceNumber) != "" })
	slices.SortFunc(open, func(a, b types.Shard) int { return from(a).Cmp(from(b)) })
	return open, err
}

func from(sh types.Shard) *big.Int { return number(sh.HashKeyRange.StartingHashKey) }

func number(text *string) *big.Int {
	n, ok := new(big.Int).SetString(aws.ToString(text), 10)
	if !ok {
		return new(big.Int)
	}
	return n
}

// widest is the open shard with the most hash keys.
func widest(open []types.Shard) types.Shard {
	return slices.MaxFunc(open, func(a, b types.Shard) int { return width(a).Cmp(width(b)) })
}

func width(sh types.Shard) *big.Int {
	return new(big.Int).Sub(number(sh.HashKeyRange.EndingHashKey), from(sh))
}

// split closes the widest shard and opens two. It says which.
func (s *stream) split(ctx context.Context) (string, error) {
	s.resharding.Lock()
	defer s.resharding.Unlock()
	open, err := s.open(ctx)
	if err != nil {
		return "", err
	}
	sh := widest(open)
	middle := new(big.Int).Add(from(sh), new(big.Int).Rsh(width(sh), 1))
	_, err = s.client.SplitShard(ctx, &kinesis.SplitShardInput{
		StreamName: &s.name, ShardToSplit: sh.ShardId, NewStartingHashKey: aws.String(middle.String()),
	})
	return aws.ToString(sh.ShardId), cmp.Or(err, s.active(ctx))
}

// merge closes the two neighbours that have the fewest hash keys together and opens one. It says which.
func (s *stream) merge(ctx context.Context) (string, error) {
	s.resharding.Lock()
	defer s.resharding.Unlock()
	open, err := s.open(ctx)
	if err != nil {
		return "", err
	}
	if len(open) < 2 {
		return "", errors.New("there is one shard, and none to merge it with")
	}
	best, least := 0, new(big.Int).Lsh(big.NewInt(1), 200)
	for i := range open[1:] {
		if w := new(big.Int).Add(width(open[i]), width(open[i+1])); w.Cmp(least) < 0 {
			best, least = i, w
		}
	}
	a, b := open[best], open[best+1]
	_, err = s.client.MergeShards(ctx, &kinesis.MergeShardsInput{
		StreamName: &s.name, ShardToMerge: a.ShardId, AdjacentShardToMerge: b.ShardId,
	})
	return aws.ToString(a.ShardId) + " and " + aws.ToString(b.ShardId), cmp.Or(err, s.active(ctx))
}
