package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/internal/torment"
	"github.com/runnelhq/runnel/localstack"
)

// stream is a stream of Kinesis that records are put into while it is split and merged.
type stream struct {
	*torment.Stream

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

func newStream(ctx context.Context, c localstack.Clients, shards int) (*stream, error) {
	s, err := torment.NewStream(ctx, c, torment.Unique("chaos"), shards)
	return &stream{Stream: s}, err
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
		in := &kinesis.PutRecordsInput{StreamName: &s.Name}
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
		out, err := s.Client.PutRecords(context.WithoutCancel(ctx), in)
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
	at := torment.Clock()
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
