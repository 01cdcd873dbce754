package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/ddbsource"
	"github.com/runnelhq/runnel/consumer/kinesissource"
	"github.com/runnelhq/runnel/lease/ddblease"
	"github.com/runnelhq/runnel/localstack"
)

// arrived is what a worker process says when its handler has its first record.
const arrived = "arrived\n"

// started is the name of a result.
func started(source string) string { return "Start/source=" + source }

// starts is how long a new application takes from the start of its process to its first record. It has to make its lease table.
func starts(ctx context.Context, o options, r *report) error {
	return withStack(ctx, r, func(stack *localstack.Stack) error {
		s, err := newStream(ctx, stack.Clients, 4)
		if err != nil {
			return err
		}
		for n := range s.hashes {
			if err := s.put(ctx, n); err != nil {
				return err
			}
		}
		table, err := newTable(ctx, stack.DynamoDB())
		if err != nil {
			return err
		}
		for range cmp.Or(o.Count, 10) {
			for _, t := range []task{{Service: kinesisAPI, Stream: s.name}, {Service: streamsAPI, Stream: table}} {
				t.Role, t.Leases = "first", unique("leases")
				process, run, err := startOnce(ctx, t, stack.Env())
				if err != nil {
					return fmt.Errorf("%s: %w", t.Service, err)
				}
				r.result(started(t.Service), metric{float64(process), "first-record-ns"}, metric{float64(run), "of-it-run-ns"})
			}
		}
		return nil
	})
}

// startOnce starts a worker, and says how long it took until the first record since the start of the process, and since that of Run.
func startOnce(ctx context.Context, t task, env []string) (process, run time.Duration, err error) {
	begun := time.Now()
	p, err := launch(ctx, t, anyCore, env...)
	if err != nil {
		return 0, 0, err
	}
	said, err := p.lines.ReadString('\n')
	process = time.Since(begun)
	if err == nil && said != arrived {
		err = fmt.Errorf("the worker said %q", said)
	}
	var u usage
	if err == nil {
		err = json.NewDecoder(p.lines).Decode(&u)
	}
	return process, time.Duration(u.Wall * float64(time.Second)), errors.Join(err, p.stop())
}

// first is a worker until its first record.
func first(ctx context.Context, t task) (u usage, err error) {
	s, err := localstack.Start(ctx, localstack.Options{Kind: localstack.Environment})
	if err != nil {
		return u, err
	}
	var source consumer.Source = kinesissource.New(s.Kinesis(), t.Stream, nil)
	if t.Service == streamsAPI {
		source = ddbsource.New(s.DynamoDB(), s.Streams(), t.Stream, nil)
	}
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	begun := time.Now()
	c := newCounter(1, func() {
		u.Wall = time.Since(begun).Seconds()
		fmt.Print(arrived)
		stop()
	})
	err = consumer.Run(ctx, consumer.Config{
		Name: "bench", Source: source, Leases: ddblease.New(s.DynamoDB(), t.Leases, nil),
		Handler: consumer.Each(func(context.Context, consumer.Record) error {
			c.add(1)
			return nil
		}),
	})
	if err == nil && c.n.Load() == 0 {
		err = errors.New("no record came")
	}
	return u, err
}

// newTable makes a table with a stream and some changes.
func newTable(ctx context.Context, client *dynamodb.Client) (string, error) {
	table := unique("bench")
	_, err := client.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName:            &table,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: types.KeyTypeHash}},
		BillingMode:          types.BillingModePayPerRequest,
		StreamSpecification:  &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewTypeNewAndOldImages},
	})
	if err != nil {
		return "", err
	}
	if err := dynamodb.NewTableExistsWaiter(client).Wait(ctx, &dynamodb.DescribeTableInput{TableName: &table}, time.Minute); err != nil {
		return "", err
	}
	for i := range 10 {
		_, err := client.PutItem(ctx, &dynamodb.PutItemInput{TableName: &table, Item: map[string]types.AttributeValue{
			"id": &types.AttributeValueMemberS{Value: strconv.Itoa(i)},
		}})
		if err != nil {
			return "", err
		}
	}
	return table, nil
}
