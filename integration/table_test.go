//go:build engines

package integration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/ddbsource"
	"github.com/runnelhq/runnel/localstack"
)

// table is a DynamoDB table with a stream: an item a key, which holds the key's last value.
type table struct {
	client *dynamodb.Client
	table  string
}

// row is an item of a [table].
type row struct {
	ID string `dynamodbav:"id"`
	N  int    `dynamodbav:"n"`
}

func newTable(t *testing.T, c localstack.Clients, view types.StreamViewType) *table {
	t.Helper()
	tab := makeTable(t, c, &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: view})
	return tab
}

// makeTable makes a table with a stream, or without if spec is nil.
func makeTable(t *testing.T, c localstack.Clients, spec *types.StreamSpecification) *table {
	t.Helper()
	tab := &table{c.DynamoDB(), unique("table")}
	_, err := tab.client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: &tab.table, BillingMode: types.BillingModePayPerRequest, StreamSpecification: spec,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: types.KeyTypeHash}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dropTable(t, c, tab.table) })
	tab.active(t)
	return tab
}

func (tab *table) active(t *testing.T) {
	t.Helper()
	eventually(t, says("table %s is not active", tab.table), func() bool {
		out, err := tab.client.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: &tab.table})
		return err == nil && out.Table.TableStatus == types.TableStatusActive
	})
}

// dropTable deletes a table, unless the test did.
func dropTable(t *testing.T, c localstack.Clients, name string) {
	t.Helper()
	_, err := c.DynamoDB().DeleteTable(context.WithoutCancel(t.Context()), &dynamodb.DeleteTableInput{TableName: &name})
	var gone *types.ResourceNotFoundException
	if err != nil && !errors.As(err, &gone) {
		t.Error(err)
	}
}

func (tab *table) service() string { return "DynamoDB" }
func (tab *table) name() string    { return tab.table }

func (tab *table) source(c localstack.Clients) consumer.Source {
	return ddbsource.New(c.DynamoDB(), c.Streams(), tab.table,
		&ddbsource.Config{Busy: 150 * time.Millisecond, Idle: time.Second})
}

func (tab *table) put(ctx context.Context, items []item) error {
	for some := range slices.Chunk(items, 25) { // as many as a call takes
		if err := tab.putSome(ctx, some); err != nil {
			return err
		}
	}
	return nil
}

func (tab *table) putSome(ctx context.Context, items []item) error {
	requests := make([]types.WriteRequest, len(items))
	for i, it := range items {
		requests[i].PutRequest = &types.PutRequest{Item: map[string]types.AttributeValue{
			"id": &types.AttributeValueMemberS{Value: it.Key}, "n": &types.AttributeValueMemberN{Value: strconv.Itoa(it.N)},
		}}
	}
	out, err := tab.client.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{
		RequestItems: map[string][]types.WriteRequest{tab.table: requests},
	})
	if err == nil && len(out.UnprocessedItems) > 0 {
		err = fmt.Errorf("%d items were not processed", len(out.UnprocessedItems[tab.table]))
	}
	return err
}

// putAttribute puts an item of which n may be anything.
func (tab *table) putAttribute(t *testing.T, key string, n types.AttributeValue) {
	t.Helper()
	_, err := tab.client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &tab.table, Item: map[string]types.AttributeValue{
		"id": &types.AttributeValueMemberS{Value: key}, "n": n,
	}})
	if err != nil {
		t.Fatal(err)
	}
}

func (tab *table) read(r consumer.Record) (item, error) {
	c, err := ddbsource.Decode[row](r)
	if err != nil {
		return item{}, err
	}
	if c.New == nil {
		return item{}, fmt.Errorf("%s without a new image", c.Event)
	}
	return item{c.New.ID, c.New.N}, nil
}

// remove disables the stream: the table stays, its name has no stream any longer.
func (tab *table) remove(ctx context.Context) error {
	return tab.enable(ctx, &types.StreamSpecification{StreamEnabled: aws.Bool(false)})
}

func (tab *table) enable(ctx context.Context, spec *types.StreamSpecification) error {
	_, err := tab.client.UpdateTable(ctx, &dynamodb.UpdateTableInput{TableName: &tab.table, StreamSpecification: spec})
	return err
}

// openShard is the ID of the shard that takes records.
func (tab *table) openShard(t *testing.T, c localstack.Clients) string {
	t.Helper()
	described, err := tab.client.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: &tab.table})
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.Streams().DescribeStream(t.Context(), &dynamodbstreams.DescribeStreamInput{StreamArn: described.Table.LatestStreamArn})
	if err != nil {
		t.Fatal(err)
	}
	for _, sh := range out.StreamDescription.Shards {
		if aws.ToString(sh.SequenceNumberRange.EndingSequenceNumber) == "" {
			return aws.ToString(sh.ShardId)
		}
	}
	t.Fatalf("table %s has no open shard", tab.table)
	return ""
}
