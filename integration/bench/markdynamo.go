package main

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/ddbdedup"
	"github.com/runnelhq/runnel/localstack"
)

// dynamoOrders are orders in a table of DynamoDB, one item each.
type dynamoOrders struct {
	*ddbdedup.Sink

	client *dynamodb.Client
	name   string // what those of tables begin with
}

func (s *dynamoOrders) table(what string) *string { return aws.String(s.name + "-" + what) }

// put is the effect of a record.
func (s *dynamoOrders) put(r order) types.Put {
	return types.Put{TableName: s.table("orders"), Item: map[string]types.AttributeValue{
		"id":       &types.AttributeValueMemberS{Value: strconv.FormatInt(r.n, 10)},
		"customer": &types.AttributeValueMemberS{Value: r.key},
		"item":     &types.AttributeValueMemberS{Value: "a book of some pages"},
		"quantity": &types.AttributeValueMemberN{Value: "3"},
		"price":    &types.AttributeValueMemberN{Value: "1999"},
	}}
}

// marker is an item that may not be there yet.
func (s *dynamoOrders) marker(shard string, r order) types.Put {
	return types.Put{
		TableName:           s.table("markers"),
		Item:                map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: shard + " " + r.position.String()}},
		ConditionExpression: aws.String("attribute_not_exists(id)"),
	}
}

func (s *dynamoOrders) transact(ctx context.Context, puts ...types.Put) error {
	actions := make([]types.TransactWriteItem, len(puts))
	for i := range puts {
		actions[i].Put = &puts[i]
	}
	_, err := s.client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: actions})
	return err
}

func (s *dynamoOrders) alone(ctx context.Context, rs []order) error {
	puts := make([]types.Put, len(rs))
	for i, r := range rs {
		puts[i] = s.put(r)
	}
	return s.transact(ctx, puts...)
}

// naive leaves out, in a further attempt, the records that have markers.
func (s *dynamoOrders) naive(ctx context.Context, shard string, rs []order) error {
	for len(rs) > 0 {
		var puts []types.Put
		for _, r := range rs {
			puts = append(puts, s.marker(shard, r), s.put(r))
		}
		err := s.transact(ctx, puts...)
		canceled, ok := errors.AsType[*types.TransactionCanceledException](err)
		if !ok {
			return err
		}
		var fresh []order
		for i, r := range rs {
			if aws.ToString(canceled.CancellationReasons[2*i].Code) != "ConditionalCheckFailed" {
				fresh = append(fresh, r)
			}
		}
		if len(fresh) == len(rs) {
			return err
		}
		rs = fresh
	}
	return nil
}

func (s *dynamoOrders) once(ctx context.Context, ms []dedup.Mark, rs []order) error {
	return s.Apply(ctx, ms, func(w *ddbdedup.Write, fresh []int) error {
		for _, i := range fresh {
			w.Put(s.put(rs[i]))
		}
		return nil
	})
}

func (s *dynamoOrders) made(ctx context.Context) (n int64, err error) {
	pages := dynamodb.NewScanPaginator(s.client, &dynamodb.ScanInput{TableName: s.table("orders"), Select: types.SelectCount})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return 0, err
		}
		n += int64(page.Count)
	}
	return n, nil
}

// serveDynamo has databases in a DynamoDB Local.
func serveDynamo(ctx context.Context, f func(opener) error) (err error) {
	server, err := localstack.StartDynamoDB(ctx, localstack.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	client := server.DynamoDB()
	return f(func(ctx context.Context, name string) (ordersDB, error) {
		s := &dynamoOrders{ddbdedup.New(client, name+"-marks", nil), client, name}
		for _, what := range []string{"orders", "markers"} {
			if _, err := client.CreateTable(ctx, &dynamodb.CreateTableInput{
				TableName:            s.table(what),
				AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: types.ScalarAttributeTypeS}},
				KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: types.KeyTypeHash}},
				BillingMode:          types.BillingModePayPerRequest,
			}); err != nil {
				return nil, err
			}
			if err := dynamodb.NewTableExistsWaiter(client).Wait(ctx, &dynamodb.DescribeTableInput{TableName: s.table(what)}, time.Minute); err != nil {
				return nil, err
			}
		}
		return s, s.Setup(ctx)
	})
}
