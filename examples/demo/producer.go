package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	kinesistypes "github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"golang.org/x/sync/errgroup"

	"github.com/runnelhq/runnel/localstack"
)

// producer makes a stream and a table, and the votes in both.
type producer struct {
	stack  *localstack.Stack
	suffix string
	done   *atomic.Int64 // records put
}

func (p producer) stream() string { return "runnel-demo-" + p.suffix }
func (p producer) table() string  { return "runnel-demo-" + p.suffix }

func (p producer) create(ctx context.Context) error {
	_, err := p.stack.Kinesis().CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String(p.stream()), ShardCount: aws.Int32(4)})
	if err != nil {
		return err
	}
	_, err = p.stack.DynamoDB().CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName:            aws.String(p.table()),
		BillingMode:          ddbtypes.BillingModePayPerRequest,
		AttributeDefinitions: []ddbtypes.AttributeDefinition{{AttributeName: aws.String("voter"), AttributeType: ddbtypes.ScalarAttributeTypeS}},
		KeySchema:            []ddbtypes.KeySchemaElement{{AttributeName: aws.String("voter"), KeyType: ddbtypes.KeyTypeHash}},
		StreamSpecification:  &ddbtypes.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: ddbtypes.StreamViewTypeNewAndOldImages},
	})
	if err != nil {
		return err
	}
	err = kinesis.NewStreamExistsWaiter(p.stack.Kinesis()).Wait(ctx, &kinesis.DescribeStreamInput{StreamName: aws.String(p.stream())}, time.Minute)
	if err != nil {
		return err
	}
	return dynamodb.NewTableExistsWaiter(p.stack.DynamoDB()).Wait(ctx, &dynamodb.DescribeTableInput{TableName: aws.String(p.table())}, time.Minute)
}

func (p producer) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, stream := p.stack.Kinesis().DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: aws.String(p.stream())})
	errs := []error{stream}
	for _, table := range []string{p.table(), "runnel-leases-" + p.stream()} {
		_, err := p.stack.DynamoDB().DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: aws.String(table)})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// put makes the votes of both streams side by side.
func (p producer) put(ctx context.Context, o options) error {
	var both errgroup.Group
	both.Go(func() error { return p.putRecords(ctx, o.records) })
	both.Go(func() error { return p.putChanges(ctx, o.changes) })
	return both.Wait()
}

// putSize is the records of one request. Kinesis takes up to 500; its stand-in slows down with large ones.
const putSize = 100

func (p producer) putRecords(ctx context.Context, n int) error {
	client := p.stack.Kinesis()
	for first := 0; first < n; first += putSize {
		var batch []kinesistypes.PutRecordsRequestEntry
		for i := first; i < min(first+putSize, n); i++ {
			v := voteOf(i)
			data, err := json.Marshal(v)
			if err != nil {
				return err
			}
			batch = append(batch, kinesistypes.PutRecordsRequestEntry{PartitionKey: aws.String(v.Voter), Data: data})
		}
		out, err := client.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: aws.String(p.stream()), Records: batch})
		if err != nil {
			return err
		}
		if failed := aws.ToInt32(out.FailedRecordCount); failed > 0 {
			return fmt.Errorf("%d records were refused", failed)
		}
		p.done.Add(int64(len(batch)))
	}
	return nil
}

func (p producer) putChanges(ctx context.Context, n int) error {
	client := p.stack.DynamoDB()
	for i := range n {
		v := voteOf(i)
		_, err := client.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String(p.table()), Item: map[string]ddbtypes.AttributeValue{
			"voter": &ddbtypes.AttributeValueMemberS{Value: v.Voter},
			"n":     &ddbtypes.AttributeValueMemberN{Value: strconv.Itoa(v.N)},
		}})
		if err != nil {
			return err
		}
		p.done.Add(1)
	}
	return nil
}

const voters = 100

// voteOf is the i-th vote of all: each voter votes again and again.
func voteOf(i int) vote { return vote{Voter: fmt.Sprintf("voter-%02d", i%voters), N: i / voters} }
