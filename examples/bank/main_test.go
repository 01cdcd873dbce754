//go:build engines

package main

import (
	"crypto/rand"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/runnelhq/runnel/internal/stacktest"
	"github.com/runnelhq/runnel/localstack"
)

var stack *localstack.Stack

func TestMain(m *testing.M) { os.Exit(stacktest.Run(m, &stack)) }

// Each transfer stands once also when the leases are forgotten and every record is delivered again: the bank's own database says where its work stands.
func TestTransfersStandOnceWithoutLeases(t *testing.T) {
	for kind, prepare := range map[string]func(t *testing.T) (args []string, put func(from string, number int, to string, amount int64)){"stream": aStream, "table": aTable} {
		t.Run(kind, func(t *testing.T) {
			args, put := prepare(t)
			b := newBank(t)
			stacktest.Start(t, ".", stack.Env(), "-sink", "sqlite:"+b.file, "-setup").Wait(t)
			run := func() *stacktest.Program {
				leases := "leases-" + rand.Text()
				stacktest.RemoveTable(t, stack, leases)
				return stacktest.Start(t, ".", stack.Env(), append([]string{"-sink", "sqlite:" + b.file, "-leases", leases, "-expiry", "3s"}, args...)...)
			}

			program := run()
			put("ada", 1, "bob", 5)
			put("ada", 2, "bob", 3)
			b.await(t, "ada ada/1 -5", "bob ada/1 5", "ada ada/2 -3", "bob ada/2 3")
			program.Stop(t)

			program = run() // on leases that know nothing
			put("bob", 1, "ada", 7)
			b.await(t, "ada ada/1 -5", "bob ada/1 5", "ada ada/2 -3", "bob ada/2 3", "ada bob/1 7", "bob bob/1 -7")
			program.Stop(t)
			if ada, bob := b.balance(t, "ada"), b.balance(t, "bob"); ada != -1 || bob != 1 {
				t.Errorf("the balances are %d and %d, want -1 and 1", ada, bob)
			}
		})
	}
}

func aStream(t *testing.T) ([]string, func(from string, number int, to string, amount int64)) {
	client, stream := stack.Kinesis(), "transfers-"+rand.Text()
	if _, err := client.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: &stream, ShardCount: aws.Int32(1)}); err != nil {
		t.Fatal(err)
	}
	stacktest.RemoveStream(t, stack, stream)
	exists := kinesis.NewStreamExistsWaiter(client, func(o *kinesis.StreamExistsWaiterOptions) { o.MinDelay, o.MaxDelay = 100*time.Millisecond, time.Second })
	if err := exists.Wait(t.Context(), &kinesis.DescribeStreamInput{StreamName: &stream}, time.Minute); err != nil {
		t.Fatal(err)
	}
	return []string{"-stream", stream}, func(from string, number int, to string, amount int64) {
		data := fmt.Appendf(nil, `{"from":%q,"number":%d,"to":%q,"amount":%d}`, from, number, to, amount)
		if _, err := client.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: &stream, PartitionKey: &from, Data: data}); err != nil {
			t.Fatal(err)
		}
	}
}

func aTable(t *testing.T) ([]string, func(from string, number int, to string, amount int64)) {
	client, table := stack.DynamoDB(), "transfers-"+rand.Text()
	_, err := client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: &table, BillingMode: types.BillingModePayPerRequest,
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("from"), KeyType: types.KeyTypeHash}},
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("from"), AttributeType: types.ScalarAttributeTypeS}},
		StreamSpecification:  &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewTypeNewImage},
	})
	if err != nil {
		t.Fatal(err)
	}
	stacktest.RemoveTable(t, stack, table)
	return []string{"-table", table}, func(from string, number int, to string, amount int64) {
		n := func(n int64) types.AttributeValue { return &types.AttributeValueMemberN{Value: fmt.Sprint(n)} }
		item := map[string]types.AttributeValue{
			"from": &types.AttributeValueMemberS{Value: from}, "number": n(int64(number)), "to": &types.AttributeValueMemberS{Value: to}, "amount": n(amount),
		}
		if _, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &table, Item: item}); err != nil {
			t.Fatal(err)
		}
	}
}

// bank is the database of a program that runs.
type bank struct {
	file string
	db   *sql.DB
}

func newBank(t *testing.T) bank {
	t.Helper()
	file := filepath.ToSlash(filepath.Join(t.TempDir(), "bank.db"))
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(20000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() }) // it was read only
	return bank{file, db}
}

// await waits until there are as many lines, which then must be these in any order of accounts.
func (b bank) await(t *testing.T, want ...string) {
	t.Helper()
	var lines []string
	stacktest.Eventually(t, func() string { return fmt.Sprintf("the lines are %q, want %q", lines, want) }, func() bool {
		lines = b.lines(t)
		return len(lines) >= len(want)
	})
	if !slices.Equal(slices.Sorted(slices.Values(lines)), slices.Sorted(slices.Values(want))) {
		t.Errorf("the lines are %q, want %q", lines, want)
	}
}

func (b bank) lines(t *testing.T) (lines []string) {
	t.Helper()
	rows, err := b.db.QueryContext(t.Context(), `SELECT account || ' ' || transfer || ' ' || amount FROM lines ORDER BY place`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }() // read to its end
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

func (b bank) balance(t *testing.T, account string) (n int64) {
	t.Helper()
	if err := b.db.QueryRowContext(t.Context(), `SELECT balance FROM accounts WHERE account = $1`, account).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
