//go:build engines

package ddbsource_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"go.uber.org/goleak"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/ddbsource"
	"github.com/runnelhq/runnel/consumer/sourcetest"
	"github.com/runnelhq/runnel/internal/readtest"
	"github.com/runnelhq/runnel/localstack"
)

var (
	stack *localstack.Stack
	own   *localstack.DynamoDB // whose shards and time are moved
)

func TestMain(m *testing.M) {
	code, err := onStack(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code) //nolint:forbidigo // the only way to say that the stack could not be had
}

func onStack(run func() int) (code int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	if stack, err = localstack.Start(ctx, localstack.Options{}); err != nil {
		return 1, err
	}
	if own, err = localstack.StartDynamoDB(ctx, localstack.Options{}); err != nil {
		return 1, errors.Join(err, stack.Close())
	}
	code = run()
	return code, errors.Join(own.Close(), stack.Close(), goleak.Find())
}

// quick polls as a local endpoint bears it.
var quick = &ddbsource.Config{Busy: 20 * time.Millisecond, Idle: 100 * time.Millisecond}

func TestConformance(t *testing.T) {
	sourcetest.Run(t, sourcetest.Driver{
		New: func(tb testing.TB, _ int) *sourcetest.Stream {
			s := newTable(tb, own.Clients, types.StreamViewTypeNewAndOldImages).stream()
			s.Roll = func(ctx context.Context, _ string) error { return own.Rollover(ctx) }
			s.Expire = func(ctx context.Context) error { return own.Dilate(ctx, time.Millisecond) }
			s.Pass = own.Dilate
			return s
		},
		Missing: func(testing.TB) consumer.Source { return newSource(own.Clients, "absent-"+rand.Text()) },
		Coarse:  time.Minute,
		Lacks: map[sourcetest.Ability]string{
			sourcetest.Shards:    "a table has one open shard",
			sourcetest.Merge:     "shards of DynamoDB Streams are not merged",
			sourcetest.Trim:      "DynamoDB Local closes a shard whose records it trims",
			sourcetest.Aggregate: "DynamoDB Streams has no aggregates",
		},
	})
}

// The stack may be LocalStack, which names shards in its own way.
func TestConformanceOnTheStack(t *testing.T) {
	lacks := "it would move the tables of others"
	sourcetest.Run(t, sourcetest.Driver{
		New: func(tb testing.TB, _ int) *sourcetest.Stream {
			return newTable(tb, stack.Clients, types.StreamViewTypeNewAndOldImages).stream()
		},
		Missing: func(testing.TB) consumer.Source { return newSource(stack.Clients, "absent-"+rand.Text()) },
		Coarse:  time.Minute,
		Lacks: map[sourcetest.Ability]string{
			sourcetest.Shards: "a table has one open shard", sourcetest.Merge: "shards of DynamoDB Streams are not merged",
			sourcetest.Aggregate: "DynamoDB Streams has no aggregates",
			sourcetest.Roll:      lacks, sourcetest.Expire: lacks, sourcetest.Trim: lacks, sourcetest.Pass: lacks,
		},
	})
}

// table is a table on an endpoint.
type table struct {
	clients localstack.Clients
	client  *dynamodb.Client
	name    string
	view    types.StreamViewType
}

func newSource(c localstack.Clients, table string) *ddbsource.Source {
	return ddbsource.New(c.DynamoDB(), c.Streams(), table, quick)
}

func newTable(tb testing.TB, c localstack.Clients, view types.StreamViewType) *table {
	tb.Helper()
	tab := &table{clients: c, client: c.DynamoDB(), name: "ddbsource-" + rand.Text(), view: view}
	if err := tab.create(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := tab.delete(ctx); err != nil {
			tb.Error(err)
		}
	})
	return tab
}

func (tab *table) create(ctx context.Context) error {
	_, err := tab.client.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: &tab.name, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: types.KeyTypeHash}},
		StreamSpecification:  &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: tab.view},
	})
	return err
}

func (tab *table) delete(ctx context.Context) error {
	_, err := tab.client.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &tab.name})
	return err
}

type item struct {
	ID    string `dynamodbav:"id"`
	Value string
}

func (tab *table) put(ctx context.Context, id, value string) error {
	_, err := tab.client.PutItem(ctx, &dynamodb.PutItemInput{TableName: &tab.name, Item: map[string]types.AttributeValue{
		"id": &types.AttributeValueMemberS{Value: id}, "Value": &types.AttributeValueMemberS{Value: value},
	}})
	return err
}

func (tab *table) remove(ctx context.Context, id string) error {
	_, err := tab.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName: &tab.name, Key: map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: id}},
	})
	return err
}

func (tab *table) stream() *sourcetest.Stream {
	return &sourcetest.Stream{
		Source: func() consumer.Source { return newSource(tab.clients, tab.name) },
		Put:    func(ctx context.Context, key string, value []byte) error { return tab.put(ctx, key, string(value)) },
		Read: func(r consumer.Record) (string, []byte, error) {
			c, err := ddbsource.Decode[item](r)
			if err != nil {
				return "", nil, err
			}
			if c.New == nil {
				return "", nil, errors.New("the record has no new image")
			}
			return c.New.ID, []byte(c.New.Value), nil
		},
		Delete: tab.delete,
		Create: tab.create,
	}
}

func TestViewTypesOnTheEndpoint(t *testing.T) {
	was, is := &item{ID: "a", Value: "was"}, &item{ID: "a", Value: "is"}
	for view, want := range map[types.StreamViewType][3][2]*item{
		types.StreamViewTypeNewAndOldImages: {{nil, was}, {was, is}, {is, nil}},
		types.StreamViewTypeNewImage:        {{nil, was}, {nil, is}, {nil, nil}},
		types.StreamViewTypeOldImage:        {{nil, nil}, {was, nil}, {is, nil}},
		types.StreamViewTypeKeysOnly:        {{nil, nil}, {nil, nil}, {nil, nil}},
	} {
		t.Run(string(view), func(t *testing.T) {
			tab := newTable(t, stack.Clients, view)
			for _, err := range []error{tab.put(t.Context(), "a", "was"), tab.put(t.Context(), "a", "is"), tab.remove(t.Context(), "a")} {
				if err != nil {
					t.Fatal(err)
				}
			}
			s := newSource(tab.clients, tab.name)
			_, shards := readtest.Stream(t, s)
			r := readtest.Open(t, s, shards[0].ID, checkpoint.Start{})
			var got []ddbsource.Change[item]
			for deadline := time.Now().Add(time.Minute); len(got) < 3 && time.Now().Before(deadline); {
				for _, rec := range readtest.Next(t, r, consumer.Want{}).Records {
					c, err := ddbsource.Decode[item](rec)
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, c)
				}
			}
			if len(got) != 3 {
				t.Fatalf("%d changes came, want 3", len(got))
			}
			for i, event := range []ddbsource.Event{ddbsource.Insert, ddbsource.Modify, ddbsource.Remove} {
				c := got[i]
				if c.Event != event || c.Key != (item{ID: "a"}) || !same(c.Old, want[i][0]) || !same(c.New, want[i][1]) || c.TTL {
					t.Errorf("change %d is %s of %+v, from %+v to %+v; want %s from %+v to %+v", i, c.Event, c.Key, c.Old, c.New, event, want[i][0], want[i][1])
				}
			}
		})
	}
}

func same(a, b *item) bool { return a == b || a != nil && b != nil && *a == *b }

func TestStreamThatIsNotEnabled(t *testing.T) {
	tab := newTable(t, stack.Clients, types.StreamViewTypeKeysOnly)
	arn := func() string {
		st, err := newSource(tab.clients, tab.name).Stream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return st.Incarnation
	}
	first := arn()
	if err := tab.put(t.Context(), "a", "left"); err != nil {
		t.Fatal(err)
	}
	tab.enable(t, false)
	if again := arn(); again != first {
		t.Errorf("once disabled, the stream is %s, want %s: what is left can be read", again, first)
	}
	old := ddbsource.New(nil, tab.clients.Streams(), tab.name, &ddbsource.Config{StreamARN: first, Busy: quick.Busy, Idle: quick.Idle})
	_, shards := readtest.Stream(t, old)
	r := readtest.Open(t, old, shards[0].ID, checkpoint.Start{})
	if places, p := readtest.Drain(t, r, 2); len(places) != 1 || !p.End {
		t.Errorf("the disabled stream gives %v, End %v, want the record that was left and the end", places, p.End)
	}
	tab.enable(t, true)
	if second := arn(); second == first {
		t.Errorf("enabled anew, the stream is still %s", second)
	}
}

func (tab *table) enable(t *testing.T, on bool) {
	t.Helper()
	spec := &types.StreamSpecification{StreamEnabled: &on}
	if on {
		spec.StreamViewType = tab.view
	}
	if _, err := tab.client.UpdateTable(t.Context(), &dynamodb.UpdateTableInput{TableName: &tab.name, StreamSpecification: spec}); err != nil {
		t.Fatal(err)
	}
}
