//go:build engines

package ddbdedup_test

import (
	"context"
	"crypto/rand"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/dedup/ddbdedup"
	"github.com/runnelhq/runnel/dedup/deduptest"
)

type item = map[string]types.AttributeValue

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
func number(n int) types.AttributeValue  { return &types.AttributeValueMemberN{Value: strconv.Itoa(n)} }

// database is a table of marks and one of counters, and a wire to them.
type database struct {
	client   *dynamodb.Client // around the wire
	wire     *wire
	marks    string
	counters string
}

// newDatabase makes the tables, which go when t ends.
func newDatabase(t *testing.T) *database {
	t.Helper()
	w := &wire{}
	d := &database{client: stack.DynamoDB(), wire: w, marks: "marks-" + rand.Text(), counters: "counters-" + rand.Text()}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		for _, name := range []string{d.marks, d.counters} {
			_, err := d.client.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &name})
			var missing *types.ResourceNotFoundException
			if err != nil && !errors.As(err, &missing) {
				t.Errorf("delete table %s: %v", name, err)
			}
		}
	})
	_, err := d.client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: &d.counters, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("name"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("name"), KeyType: types.KeyTypeHash}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// sink is one whose requests go over the wire.
func (d *database) sink(t *testing.T, cfg *ddbdedup.Config) *ddbdedup.Sink {
	t.Helper()
	s := ddbdedup.New(stack.Through(d.wire.through).DynamoDB(), d.marks, cfg)
	if err := s.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// add adds to a counter.
func (d *database) add(w *ddbdedup.Write, name string, n int) {
	w.Update(types.Update{
		TableName: &d.counters, Key: item{"name": text(name)},
		UpdateExpression: aws.String("ADD sum_of :n"), ExpressionAttributeValues: item{":n": number(n)},
	})
}

// total reads a counter.
func (d *database) total(ctx context.Context, name string) (int, error) {
	out, err := d.client.GetItem(ctx, &dynamodb.GetItemInput{TableName: &d.counters, Key: item{"name": text(name)}, ConsistentRead: aws.Bool(true)})
	if err != nil || out.Item == nil {
		return 0, err
	}
	return strconv.Atoi(out.Item["sum_of"].(*types.AttributeValueMemberN).Value)
}

// items are all of a table.
func (d *database) items(ctx context.Context, table string) (all []item, err error) {
	pages := dynamodb.NewScanPaginator(d.client, &dynamodb.ScanInput{TableName: &table, ConsistentRead: aws.Bool(true)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
	}
	return all, nil
}

// save notes both tables.
func (d *database) save(t *testing.T) (restore func()) {
	t.Helper()
	all := map[string][]item{}
	for _, table := range []string{d.marks, d.counters} {
		items, err := d.items(t.Context(), table)
		if err != nil {
			t.Fatal(err)
		}
		all[table] = items
	}
	return func() {
		for table, saved := range all {
			now, err := d.items(t.Context(), table)
			if err != nil {
				t.Fatal(err)
			}
			for _, it := range now {
				key := item{}
				for _, name := range []string{"p", "k", "name"} {
					if v, ok := it[name]; ok {
						key[name] = v
					}
				}
				if _, err := d.client.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &table, Key: key}); err != nil {
					t.Fatal(err)
				}
			}
			for _, it := range saved {
				if _, err := d.client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &table, Item: it}); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// rows counts the marks of an application.
func (d *database) rows(ctx context.Context, app string) (n int, err error) {
	all, err := d.items(ctx, d.marks)
	for _, it := range all {
		if strings.HasPrefix(it["p"].(*types.AttributeValueMemberS).Value, app+" ") {
			n++
		}
	}
	return n, err
}

func TestConformance(t *testing.T) {
	deduptest.Run(t, deduptest.Harness[*ddbdedup.Write]{
		Batch: 40,
		Open: func(t *testing.T) deduptest.Database[*ddbdedup.Write] {
			d := newDatabase(t)
			return deduptest.Database[*ddbdedup.Write]{
				Sink: func(t *testing.T) dedup.Effects[*ddbdedup.Write] { return d.sink(t, nil) },
				Add: func(w *ddbdedup.Write, name string, n int) error {
					d.add(w, name, n)
					return nil
				},
				Total: d.total,
				Refuse: func(w *ddbdedup.Write) error {
					w.Check(types.ConditionCheck{TableName: &d.counters, Key: item{"name": text(rand.Text())}, ConditionExpression: aws.String("attribute_exists(sum_of)")})
					return nil
				},
				Rows:       d.rows,
				Save:       d.save,
				LoseAnswer: func(_ *testing.T, then func()) { d.wire.lose(answer, then) },
				LoseWrite:  func(_ *testing.T, then func()) { d.wire.lose(request, then) },
				Down:       func(_ *testing.T, down bool) { d.wire.cut(down) },
			}
		},
	})
}
