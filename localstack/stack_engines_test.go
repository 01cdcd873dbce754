//go:build engines

package localstack

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	kinesistypes "github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// temporary makes the temporary files of parts visible: they are in the folder that it returns.
func temporary(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	return dir
}

func empty(t *testing.T, dir string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 0 {
		t.Errorf("left behind: %v, %v", files, err)
	}
}

// mentioning returns the command lines with dir in them, as each engine's has, by process, from Linux's /proc: a bare
// machine has no ps.
func mentioning(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]string)
	for _, f := range files {
		line, err := os.ReadFile(f)
		if err == nil && bytes.Contains(line, []byte(dir)) { // an error: it ended in between
			found[filepath.Base(filepath.Dir(f))] = string(bytes.ReplaceAll(line, []byte{0}, []byte{' '}))
		}
	}
	return found
}

// onLoopbackAlone fails the test if the endpoint answers on another address than its own.
func onLoopbackAlone(t *testing.T, endpoint string) {
	t.Helper()
	u, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", net.JoinHostPort("127.0.0.2", u.Port()))
	if err == nil {
		_ = c.Close()
		t.Errorf("%s listens on every interface", endpoint)
	}
}

func TestNativeStacksServeAndLeaveNothingBehind(t *testing.T) {
	for _, kind := range []Kind{Native, Engines} {
		t.Run(string(kind), func(t *testing.T) {
			dir := temporary(t)
			s, err := Start(t.Context(), Options{Kind: kind})
			if err != nil {
				t.Fatal(err)
			}
			if s.Kind != kind {
				t.Errorf("got %s", s.Kind)
			}
			t.Run("Kinesis", func(t *testing.T) { putAndGet(t, s.Clients) })
			t.Run("DynamoDB", func(t *testing.T) { streamTable(t, s.Clients) })
			for _, e := range []string{s.at.Kinesis, s.at.DynamoDB, s.at.Streams} {
				onLoopbackAlone(t, e)
			}
			running := mentioning(t, dir)
			if len(running) < 2 {
				t.Errorf("the engines run as %q", running)
			}
			for pid := range running { // whatever TMPDIR says
				if files, err := filepath.Glob("/tmp/hsperfdata_*/" + pid); len(files) != 0 || err != nil {
					t.Errorf("java wrote %q, %v", files, err)
				}
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if got := mentioning(t, dir); len(got) != 0 {
				t.Errorf("left behind: %q", got)
			}
			empty(t, dir)
		})
	}
}

func putAndGet(t *testing.T, c Clients) {
	t.Helper()
	ctx, client := t.Context(), c.Kinesis()
	stream := aws.String("stream")
	if _, err := client.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: stream, ShardCount: aws.Int32(1)}); err != nil {
		t.Fatal(err)
	}
	active := kinesis.NewStreamExistsWaiter(client, func(o *kinesis.StreamExistsWaiterOptions) { o.MinDelay = 50 * time.Millisecond })
	if err := active.Wait(ctx, &kinesis.DescribeStreamInput{StreamName: stream}, time.Minute); err != nil {
		t.Fatal(err)
	}
	put, err := client.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: stream, PartitionKey: stream, Data: []byte("data")})
	if err != nil {
		t.Fatal(err)
	}
	it, err := client.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{
		StreamName: stream, ShardId: put.ShardId, ShardIteratorType: kinesistypes.ShardIteratorTypeTrimHorizon,
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: it.ShardIterator})
	if err != nil || len(got.Records) != 1 || string(got.Records[0].Data) != "data" {
		t.Fatalf("got %+v, %v", got, err)
	}
}

// streamTable makes a table with one item and returns the ARN of its stream.
func streamTable(t *testing.T, c Clients) *string {
	t.Helper()
	ctx, client := t.Context(), c.DynamoDB()
	table, key := aws.String("table"), aws.String("key")
	made, err := client.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName:            table,
		BillingMode:          dynamodbtypes.BillingModePayPerRequest,
		AttributeDefinitions: []dynamodbtypes.AttributeDefinition{{AttributeName: key, AttributeType: "S"}},
		KeySchema:            []dynamodbtypes.KeySchemaElement{{AttributeName: key, KeyType: "HASH"}},
		StreamSpecification:  &dynamodbtypes.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: "NEW_IMAGE"},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: table, Item: map[string]dynamodbtypes.AttributeValue{"key": &dynamodbtypes.AttributeValueMemberS{Value: "a"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	stream := made.TableDescription.LatestStreamArn
	it := iterator(t, c, stream, shards(t, c, stream)[0])
	got, err := c.Streams().GetRecords(ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: it})
	if err != nil || len(got.Records) != 1 || got.Records[0].EventName != types.OperationTypeInsert {
		t.Fatalf("got %+v, %v", got, err)
	}
	return stream
}

func shards(t *testing.T, c Clients, stream *string) []types.Shard {
	t.Helper()
	d, err := c.Streams().DescribeStream(t.Context(), &dynamodbstreams.DescribeStreamInput{StreamArn: stream})
	if err != nil {
		t.Fatal(err)
	}
	return d.StreamDescription.Shards
}

func iterator(t *testing.T, c Clients, stream *string, s types.Shard) *string {
	t.Helper()
	it, err := c.Streams().GetShardIterator(t.Context(), &dynamodbstreams.GetShardIteratorInput{
		StreamArn: stream, ShardId: s.ShardId, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
	})
	if err != nil {
		t.Fatal(err)
	}
	return it.ShardIterator
}

func ownDynamoDB(t *testing.T) *DynamoDB {
	t.Helper()
	d, err := StartDynamoDB(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func TestRolloverClosesTheShardAndOpensItsChild(t *testing.T) {
	d := ownDynamoDB(t)
	stream := streamTable(t, d.Clients)
	before := shards(t, d.Clients, stream)
	if err := d.Rollover(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := shards(t, d.Clients, stream)
	if len(before) != 1 || len(after) != 2 {
		t.Fatalf("%d shards became %d", len(before), len(after))
	}
	parent, child := after[0], after[1]
	if aws.ToString(parent.ShardId) != aws.ToString(before[0].ShardId) || parent.SequenceNumberRange.EndingSequenceNumber == nil {
		t.Errorf("the shard is not closed: %+v", parent)
	}
	if aws.ToString(child.ParentShardId) != aws.ToString(parent.ShardId) || child.SequenceNumberRange.EndingSequenceNumber != nil {
		t.Errorf("no child was opened: %+v", child)
	}
	onLoopbackAlone(t, d.admin)
}

func TestDilateAgesRecordsAndExpiresIterators(t *testing.T) {
	d := ownDynamoDB(t)
	stream := streamTable(t, d.Clients)
	read := func(it *string) (time.Time, error) {
		got, err := d.Streams().GetRecords(t.Context(), &dynamodbstreams.GetRecordsInput{ShardIterator: it})
		if err != nil {
			return time.Time{}, err
		}
		return aws.ToTime(got.Records[0].Dynamodb.ApproximateCreationDateTime), nil
	}
	it := iterator(t, d.Clients, stream, shards(t, d.Clients, stream)[0])
	before, err := read(it)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Dilate(t.Context(), 2*time.Hour); err != nil {
		t.Fatal(err)
	}
	var expired *types.ExpiredIteratorException
	if _, err := read(it); !errors.As(err, &expired) {
		t.Errorf("the iterator did not expire: %v", err)
	}
	after, err := read(iterator(t, d.Clients, stream, shards(t, d.Clients, stream)[0]))
	if err != nil || before.Sub(after) != 2*time.Hour {
		t.Errorf("a record of %s became one of %s, %v", before, after, err)
	}
}

func TestEndedStartLeavesNothingBehind(t *testing.T) {
	dir := temporary(t)
	for _, kind := range []Kind{Native, Engines} {
		// Both need longer.
		if _, err := Start(t.Context(), Options{Kind: kind, Timeout: 500 * time.Millisecond}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: got %v", kind, err)
		}
		if got := mentioning(t, dir); len(got) != 0 {
			t.Errorf("left behind: %q", got)
		}
		empty(t, dir)
	}
}
