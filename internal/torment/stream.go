package torment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/localstack"
)

// Stream is a stream of Kinesis that is split and merged while records are put into it.
type Stream struct {
	Name   string
	Client *kinesis.Client // which tries nothing again

	resharding sync.Mutex // held while one is under way
}

// Unique is a name that no other run has.
func Unique(prefix string) string { return fmt.Sprintf("%s-%016x", prefix, rand.Uint64()) }

// NewStream makes a stream of so many shards.
func NewStream(ctx context.Context, c localstack.Clients, name string, shards int) (*Stream, error) {
	s := &Stream{Name: name, Client: c.Kinesis(func(o *kinesis.Options) { o.RetryMaxAttempts = 1 })}
	_, err := s.Client.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: &s.Name, ShardCount: aws.Int32(int32(shards))})
	if err != nil {
		return nil, err
	}
	return s, s.active(ctx)
}

// active waits until nothing of the stream is under way.
func (s *Stream) active(ctx context.Context) error {
	for range 500 {
		out, err := s.Client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &s.Name})
		if err == nil && out.StreamDescriptionSummary.StreamStatus == types.StreamStatusActive {
			return nil
		}
		if err := backoff.Wait(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("stream %s is not active after 10 s", s.Name)
}

// Remove deletes it.
func (s *Stream) Remove(ctx context.Context) error {
	_, err := s.Client.DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: &s.Name})
	return err
}

// Shards are all shards, with their parents.
func (s *Stream) Shards(ctx context.Context) (map[string][]string, error) {
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

func (s *Stream) list(ctx context.Context) ([]types.Shard, error) {
	out, err := s.Client.ListShards(ctx, &kinesis.ListShardsInput{StreamName: &s.Name})
	if err != nil {
		return nil, err
	}
	return out.Shards, nil
}

// open are the shards that take records, in the order of their hash keys.
func (s *Stream) open(ctx context.Context) ([]types.Shard, error) {
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

// Split closes the widest shard and opens two. It says which.
func (s *Stream) Split(ctx context.Context) (string, error) {
	s.resharding.Lock()
	defer s.resharding.Unlock()
	open, err := s.open(ctx)
	if err != nil {
		return "", err
	}
	sh := widest(open)
	middle := new(big.Int).Add(from(sh), new(big.Int).Rsh(width(sh), 1))
	_, err = s.Client.SplitShard(ctx, &kinesis.SplitShardInput{
		StreamName: &s.Name, ShardToSplit: sh.ShardId, NewStartingHashKey: aws.String(middle.String()),
	})
	return aws.ToString(sh.ShardId), cmp.Or(err, s.active(ctx))
}

// Merge closes the two neighbours that have the fewest hash keys together and opens one. It says which.
func (s *Stream) Merge(ctx context.Context) (string, error) {
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
	_, err = s.Client.MergeShards(ctx, &kinesis.MergeShardsInput{
		StreamName: &s.Name, ShardToMerge: a.ShardId, AdjacentShardToMerge: b.ShardId,
	})
	return aws.ToString(a.ShardId) + " and " + aws.ToString(b.ShardId), cmp.Or(err, s.active(ctx))
}
