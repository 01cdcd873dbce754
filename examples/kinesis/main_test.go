//go:build engines

package main

import (
	"crypto/rand"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/runnelhq/runnel/internal/stacktest"
	"github.com/runnelhq/runnel/localstack"
)

var stack *localstack.Stack

func TestMain(m *testing.M) { os.Exit(stacktest.Run(m, &stack)) }

// The program logs what is put, makes its lease table, needs every permission that is documented and no other, and a successor begins where it stopped.
func TestKinesis(t *testing.T) {
	client, stream, leases := stack.Kinesis(), "orders-"+rand.Text(), "leases-"+rand.Text()
	if _, err := client.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: &stream, ShardCount: aws.Int32(2)}); err != nil {
		t.Fatal(err)
	}
	stacktest.RemoveStream(t, stack, stream)
	stacktest.RemoveTable(t, stack, leases)
	exists := kinesis.NewStreamExistsWaiter(client, func(o *kinesis.StreamExistsWaiterOptions) { o.MinDelay, o.MaxDelay = 100*time.Millisecond, time.Second })
	if err := exists.Wait(t.Context(), &kinesis.DescribeStreamInput{StreamName: &stream}, time.Minute); err != nil {
		t.Fatal(err)
	}
	put := func(key, data string) {
		if _, err := client.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: &stream, PartitionKey: &key, Data: []byte(data)}); err != nil {
			t.Fatal(err)
		}
	}
	gate := stacktest.NewGate(t, stack, map[string]string{"orders": stream, "runnel-leases": leases}, "Kinesis source", "Lease table")
	run := func() *stacktest.Program {
		return stacktest.Start(t, ".", gate.Env(), "-stream", stream, "-leases", leases)
	}

	program := run()
	program.Await(t, "shard assigned", "shardId-000000000000")
	program.Await(t, "shard assigned", "shardId-000000000001")
	put("ada", "tea")
	program.Await(t, "record", "key=ada", "data=tea")
	gate.Await(t, "dynamodb:DeleteItem on arn:aws:dynamodb:REGION:ACCOUNT:table/"+leases) // of the session's rows, when it stops
	program.Stop(t)
	gate.Expect(t)

	put("bob", "coffee")
	program = run()
	program.Await(t, "record", "key=bob", "data=coffee")
	program.Stop(t)
	if strings.Contains(program.Output(), "key=ada") {
		t.Error("a record was delivered again after a clean stop")
	}
}
