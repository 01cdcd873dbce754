package main

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/dedup/ddbdedup"
)

// openDynamoDB are the books in a table: an item for each account, with its balance and its statement. The marks are in a table beside it.
func openDynamoDB(client *dynamodb.Client, table string, read func(consumer.Record) (transfer, error)) books {
	return books{
		handler: booking(ddbdedup.New(client, table+"-marks", nil), read, func(_ context.Context, w *ddbdedup.Write, lines []line) error {
			bookItems(w, table, lines)
			return nil
		}),
		setup: func(ctx context.Context) error { return makeTable(ctx, client, table) },
		close: func() {},
	}
}

// bookItems adds actions to the one transaction that also writes the marks. It takes one action an item: what the lines do to an account is put together.
func bookItems(w *ddbdedup.Write, table string, lines []line) {
	sums, texts := make(map[string]int64), make(map[string][]types.AttributeValue)
	for _, l := range lines {
		sums[l.account] += l.amount
		texts[l.account] = append(texts[l.account], &types.AttributeValueMemberS{Value: l.String()})
	}
	for account, sum := range sums {
		w.Update(types.Update{
			TableName: &table, Key: map[string]types.AttributeValue{"account": &types.AttributeValueMemberS{Value: account}},
			UpdateExpression:         aws.String("SET #statement = list_append(if_not_exists(#statement, :none), :lines) ADD #balance :sum"),
			ExpressionAttributeNames: map[string]string{"#statement": "statement", "#balance": "balance"},
			ExpressionAttributeValues: map[string]types.AttributeValue{
				":none": &types.AttributeValueMemberL{}, ":lines": &types.AttributeValueMemberL{Value: texts[account]},
				":sum": &types.AttributeValueMemberN{Value: strconv.FormatInt(sum, 10)},
			},
		})
	}
}

func makeTable(ctx context.Context, client *dynamodb.Client, table string) error {
	_, err := client.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: &table, BillingMode: types.BillingModePayPerRequest,
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("account"), KeyType: types.KeyTypeHash}},
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("account"), AttributeType: types.ScalarAttributeTypeS}},
	})
	if _, exists := errors.AsType[*types.ResourceInUseException](err); err != nil && !exists {
		return err
	}
	return dynamodb.NewTableExistsWaiter(client).Wait(ctx, &dynamodb.DescribeTableInput{TableName: &table}, time.Minute)
}
