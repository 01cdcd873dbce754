package ddbdedup_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/ddbdedup"
)

// Orders are counted once by customer, and kept, in one transaction with the marks of their records.
func Example() {
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		log.Fatal(err)
	}
	marks := ddbdedup.New(dynamodb.NewFromConfig(cfg), "runnel-marks", nil)
	handler := consumer.Once(marks, func(_ context.Context, w *ddbdedup.Write, fresh []consumer.Record) error {
		orders := map[string]int{} // one action an item, however many records are about it
		for _, r := range fresh {
			orders[r.Key]++
			w.Put(types.Put{TableName: aws.String("orders"), Item: map[string]types.AttributeValue{
				"id":   &types.AttributeValueMemberS{Value: r.ID()},
				"data": &types.AttributeValueMemberB{Value: r.Data},
			}})
		}
		for customer, n := range orders {
			w.Update(types.Update{
				TableName:                 aws.String("customers"),
				Key:                       map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: customer}},
				UpdateExpression:          aws.String("ADD orders :n"),
				ExpressionAttributeValues: map[string]types.AttributeValue{":n": &types.AttributeValueMemberN{Value: fmt.Sprint(n)}},
			})
		}
		return nil
	})
	_ = consumer.Config{Name: "orders", Handler: handler}
}

// A condition of one's own that does not hold rolls everything back, and tells which it was and what stood there.
func ExampleConditionError() {
	var marks *ddbdedup.Sink
	withdraw := func(ctx context.Context, m dedup.Mark) error {
		err := marks.Apply(ctx, []dedup.Mark{m}, func(w *ddbdedup.Write, _ []int) error {
			w.Update(types.Update{
				TableName:                 aws.String("accounts"),
				Key:                       map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: m.Key}},
				UpdateExpression:          aws.String("SET balance = balance - :n"),
				ConditionExpression:       aws.String("balance >= :n"),
				ExpressionAttributeValues: map[string]types.AttributeValue{":n": &types.AttributeValueMemberN{Value: "10"}},
			})
			return nil
		})
		if failed, ok := errors.AsType[*ddbdedup.ConditionError](err); ok {
			return fmt.Errorf("account %s has %v: %w", m.Key, failed.Item["balance"], err)
		}
		return err
	}
	_ = withdraw
}

// An item that keeps the mark of the last record that changed it needs no transaction and no table of marks.
func ExampleItem() {
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		log.Fatal(err)
	}
	accounts := ddbdedup.Item{Client: dynamodb.NewFromConfig(cfg)}
	deposit := func(ctx context.Context, m dedup.Mark) error {
		out, err := accounts.Update(ctx, m, &dynamodb.UpdateItemInput{
			TableName:                 aws.String("accounts"),
			Key:                       map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: m.Key}},
			UpdateExpression:          aws.String("ADD balance :n"),
			ConditionExpression:       aws.String("attribute_not_exists(closed)"),
			ExpressionAttributeValues: map[string]types.AttributeValue{":n": &types.AttributeValueMemberN{Value: "10"}},
		})
		if err == nil && out == nil {
			log.Printf("%s was applied before", m.Position)
		}
		return err
	}
	handler := consumer.Each(func(ctx context.Context, r consumer.Record) error { return deposit(ctx, r.Mark()) })
	_ = consumer.Config{Name: "accounts", Handler: handler}
}
