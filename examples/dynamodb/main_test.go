//go:build engines

package main

import (
	"crypto/rand"
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/runnelhq/runnel/internal/stacktest"
	"github.com/runnelhq/runnel/lease/ddblease"
	"github.com/runnelhq/runnel/localstack"
)

var stack *localstack.Stack

func TestMain(m *testing.M) { os.Exit(stacktest.Run(m, &stack)) }

// The program logs the changes of a table, with a lease table that was made beforehand, and needs every permission that is documented for that and no other.
func TestDynamoDB(t *testing.T) {
	client, table, leases := stack.DynamoDB(), "customers-"+rand.Text(), "leases-"+rand.Text()
	if err := ddblease.New(client, leases, nil).Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	stacktest.RemoveTable(t, stack, leases)
	_, err := client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: &table, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: types.KeyTypeHash}},
		StreamSpecification:  &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewTypeNewAndOldImages},
	})
	if err != nil {
		t.Fatal(err)
	}
	stacktest.RemoveTable(t, stack, table)
	exists := dynamodb.NewTableExistsWaiter(client, func(o *dynamodb.TableExistsWaiterOptions) { o.MinDelay, o.MaxDelay = 100*time.Millisecond, time.Second })
	if err := exists.Wait(t.Context(), &dynamodb.DescribeTableInput{TableName: &table}, time.Minute); err != nil {
		t.Fatal(err)
	}
	gate := stacktest.NewGate(t, stack, map[string]string{"customers": table, "runnel-leases": leases}, "DynamoDB Streams source", "Lease table, made beforehand")

	program := stacktest.Start(t, ".", gate.Env(), "-table", table, "-leases", leases)
	key := map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: "1"}}
	item := map[string]types.AttributeValue{"id": key["id"], "name": &types.AttributeValueMemberS{Value: "Ada"}}
	if _, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &table, Item: item}); err != nil {
		t.Fatal(err)
	}
	program.Await(t, "change", "event=INSERT", "key=map[id:1]", `old=<nil>`, "name:Ada")
	if _, err := client.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &table, Key: key}); err != nil {
		t.Fatal(err)
	}
	program.Await(t, "change", "event=REMOVE", "key=map[id:1]", "name:Ada", "new=<nil>")
	gate.Await(t, "dynamodb:DeleteItem on arn:aws:dynamodb:REGION:ACCOUNT:table/"+leases) // of the session's rows, when it stops
	program.Stop(t)
	gate.Expect(t)
}
