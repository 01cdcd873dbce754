package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/kinesissource"
)

// kinesisBox is a Kinesis stream.
type kinesisBox struct {
	ledger

	client *kinesis.Client
	stream string
	create bool // if it is missing
}

func newKinesisBox(cfg aws.Config, o options, db *sql.DB) *kinesisBox {
	k := &kinesisBox{client: kinesis.NewFromConfig(cfg), stream: o.kinesis, create: o.create}
	k.ledger = ledger{db: db, box: k.name()}
	return k
}

func (k *kinesisBox) name() string { return "kinesis:" + k.stream }

func (k *kinesisBox) source() consumer.Source { return kinesissource.New(k.client, k.stream, nil) }

func (k *kinesisBox) decode(r consumer.Record) (vote, error) { return decodeJSON(r) }

func (k *kinesisBox) prepare(ctx context.Context) error {
	_, err := k.source().Stream(ctx)
	if !errors.Is(err, consumer.ErrNoStream) {
		return err
	}
	if !k.create {
		return fmt.Errorf("make it with: aws kinesis create-stream --stream-name %s --shard-count 4\nor give -create: %w", k.stream, err)
	}
	if _, err := k.client.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: &k.stream, ShardCount: aws.Int32(4)}); err != nil {
		return err
	}
	return kinesis.NewStreamExistsWaiter(k.client).Wait(ctx, &kinesis.DescribeStreamInput{StreamName: &k.stream}, time.Minute)
}

// kinesisPut is the records of one request. Kinesis takes up to 500; its stand-ins slow down with large ones.
const kinesisPut = 100

func (k *kinesisBox) put(ctx context.Context, votes []vote) error {
	for len(votes) > 0 {
		n := min(len(votes), kinesisPut)
		if err := k.request(ctx, votes[:n]); err != nil {
			return err
		}
		if err := k.note(ctx, votes[n-1].N); err != nil {
			return err
		}
		votes = votes[n:]
	}
	return nil
}

// request puts votes until all are taken: Kinesis may refuse single records of a request, which changes their order. That is why a vote says
// which of the voter's ballots it is.
func (k *kinesisBox) request(ctx context.Context, votes []vote) error {
	entries := make([]types.PutRecordsRequestEntry, len(votes))
	for i, v := range votes {
		data, err := json.Marshal(v)
		if err != nil {
			return err
		}
		entries[i] = types.PutRecordsRequestEntry{PartitionKey: &v.Voter, Data: data}
	}
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		out, err := k.client.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: &k.stream, Records: entries})
		if err != nil {
			return err
		}
		var refused []types.PutRecordsRequestEntry
		for i, r := range out.Records {
			if r.ErrorCode != nil {
				refused = append(refused, entries[i])
			}
		}
		if entries = refused; len(entries) == 0 {
			return nil
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
