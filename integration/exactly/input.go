package main

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	kinesistypes "github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/runnelhq/runnel/internal/torment"
	"github.com/runnelhq/runnel/localstack"
)

// input is a stream of transfers.
type input struct {
	services localstack.Clients
	args     []string // of the bank
	shards   int
	workers  int
	put      func(ctx context.Context, ts []transfer) error
	reshard  func(ctx context.Context, i int) (string, error)
	remove   func(ctx context.Context) error
}

var inputs = map[string]func(ctx context.Context, g *ground) (*input, error){"kinesis": fromKinesis, "dynamodb": fromTable}

// fromKinesis is a stream of Kinesis, which is split and merged.
func fromKinesis(ctx context.Context, g *ground) (*input, error) {
	const shards = 4
	s, err := torment.NewStream(ctx, g.stack.Clients, torment.Unique("transfers"), shards)
	if err != nil {
		return nil, err
	}
	return &input{
		services: g.stack.Clients, args: []string{"-stream", s.Name}, shards: shards, workers: 5, remove: s.Remove,
		put: func(ctx context.Context, ts []transfer) error {
			in := &kinesis.PutRecordsInput{StreamName: &s.Name}
			for _, t := range ts {
				data, err := json.Marshal(t)
				if err != nil {
					return err
				}
				in.Records = append(in.Records, kinesistypes.PutRecordsRequestEntry{PartitionKey: aws.String(t.From), Data: data})
			}
			out, err := s.Client.PutRecords(ctx, in)
			if err == nil && aws.ToInt32(out.FailedRecordCount) > 0 {
				err = errors.New("some were refused")
			}
			return err
		},
		reshard: func(ctx context.Context, i int) (string, error) {
			if i%2 == 1 {
				which, err := s.Merge(ctx)
				return "merge " + which, err
			}
			which, err := s.Split(ctx)
			return "split " + which, err
		},
	}, nil
}

// fromTable is a table's stream, whose shards are all closed and continued by others at a time. The item of an account is its newest transfer.
func fromTable(ctx context.Context, g *ground) (*input, error) {
	client, name := g.tables.DynamoDB(func(o *dynamodb.Options) { o.RetryMaxAttempts = 1 }), torment.Unique("transfers")
	_, err := client.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: &name, BillingMode: types.BillingModePayPerRequest,
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("from"), KeyType: types.KeyTypeHash}},
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("from"), AttributeType: types.ScalarAttributeTypeS}},
		StreamSpecification:  &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewTypeNewImage},
	})
	if err != nil {
		return nil, err
	}
	err = dynamodb.NewTableExistsWaiter(client).Wait(ctx, &dynamodb.DescribeTableInput{TableName: &name}, time.Minute)
	return &input{
		services: g.tables.Clients, args: []string{"-table", name}, shards: 1, workers: 4,
		put: func(ctx context.Context, ts []transfer) error {
			for _, t := range ts {
				item, err := attributevalue.MarshalMap(t)
				if err != nil {
					return err
				}
				if _, err := client.PutItem(ctx, &dynamodb.PutItemInput{TableName: &name, Item: item}); err != nil {
					return err
				}
			}
			return nil
		},
		reshard: func(ctx context.Context, _ int) (string, error) { return "roll over", g.tables.Rollover(ctx) },
		remove: func(ctx context.Context) error {
			_, err := client.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &name})
			return err
		},
	}, err
}
