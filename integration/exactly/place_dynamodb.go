package main

import (
	"bytes"
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/runnelhq/runnel/internal/torment"
)

// inDynamoDB has the books where the leases are; only answers of transactions are lost.
func inDynamoDB(_ context.Context, _ *ground, in *input) (*place, error) {
	address, err := torment.Endpoint(in.services, "DYNAMODB")
	if err != nil {
		return nil, err
	}
	table, client := torment.Unique("accounts"), in.services.DynamoDB()
	return &place{
		address: address, sink: func(string) string { return "dynamodb:" + table },
		env:     func(address string) []string { return []string{"AWS_ENDPOINT_URL_DYNAMODB=http://" + address} },
		commits: func(part []byte) bool { return bytes.Contains(part, []byte("DynamoDB_20120810.TransactWriteItems")) },
		read:    func(ctx context.Context) (books, error) { return readItems(ctx, client, table) },
		end: func(ctx context.Context) error {
			_, err := client.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &table})
			return err
		},
	}, nil
}

func readItems(ctx context.Context, client *dynamodb.Client, table string) (books, error) {
	b := newBooks()
	pages := dynamodb.NewScanPaginator(client, &dynamodb.ScanInput{TableName: &table, ConsistentRead: aws.Bool(true)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return books{}, err
		}
		for _, item := range page.Items {
			var a struct {
				Account   string   `dynamodbav:"account"`
				Balance   int64    `dynamodbav:"balance"`
				Statement []string `dynamodbav:"statement"`
			}
			if err := attributevalue.UnmarshalMap(item, &a); err != nil {
				return books{}, err
			}
			b.balances[a.Account] = a.Balance
			if err := b.add(a.Account, a.Statement); err != nil {
				return books{}, err
			}
		}
	}
	return b, nil
}
