//go:build engines

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/runnelhq/runnel/checkpoint"
)

// leaseRow is a shard's lease as it is stored. The tests read the table behind the library's back.
type leaseRow struct {
	Shard, Incarnation string // of the key
	Owner              string
	Epoch              uint64
	Position           checkpoint.Position
	State              string
	Start              checkpoint.Start
	Parents, Children  []string

	text string // as it is stored
	item map[string]types.AttributeValue
}

// rows are the leases of all shards of all incarnations, read consistently.
func (b *bench) rows(t *testing.T) []leaseRow {
	t.Helper()
	rows, err := b.scan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func (b *bench) scan(ctx context.Context) ([]leaseRow, error) {
	out, err := b.clients.DynamoDB().Scan(ctx, &dynamodb.ScanInput{TableName: &b.leases, ConsistentRead: aws.Bool(true)})
	if err != nil {
		return nil, err
	}
	var rows []leaseRow
	for _, it := range out.Items {
		var stored struct{ G, K, B string }
		if err := attributevalue.UnmarshalMap(it, &stored); err != nil {
			return nil, err
		}
		group, found := strings.CutPrefix(stored.G, b.app+"/S/")
		if !found {
			continue
		}
		r := leaseRow{text: stored.B, item: it}
		if err := json.Unmarshal([]byte(stored.B), &r); err != nil {
			return nil, fmt.Errorf("row %s: %w", stored.K, err)
		}
		if r.Shard, err = url.PathUnescape(stored.K); err != nil {
			return nil, err
		}
		if r.Incarnation, err = url.PathUnescape(strings.TrimSuffix(group, "/")); err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// row is the lease of one shard, and the zero row if there is none.
func (b *bench) row(t *testing.T, shard string) leaseRow {
	t.Helper()
	for _, r := range b.rows(t) {
		if r.Shard == shard {
			return r
		}
	}
	return leaseRow{}
}

// store writes a text into a row, in the place of what is there.
func (b *bench) store(t *testing.T, r leaseRow, text string) {
	t.Helper()
	it := maps.Clone(r.item)
	it["b"] = &types.AttributeValueMemberS{Value: text}
	if _, err := b.clients.DynamoDB().PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &b.leases, Item: it}); err != nil {
		t.Fatal(err)
	}
}

// watchRows reads the leases again and again until the test ends: epochs and positions must never go back, and what has ended stays so.
func (b *bench) watchRows(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() {
		before := make(map[string]leaseRow)
		for after(ctx, 250*time.Millisecond) == nil {
			rows, err := b.scan(context.WithoutCancel(ctx))
			if err != nil {
				t.Errorf("watch the leases: %v", err)
				return
			}
			for _, r := range rows {
				was := before[r.Shard]
				if r.Epoch < was.Epoch || r.Position.Before(was.Position) || was.State == "ended" && r.State != "ended" {
					t.Errorf("the lease of shard %s goes back from %s to %s", r.Shard, was.text, r.text)
				}
				before[r.Shard] = r
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		watching.Wait()
	})
}

// storesEnd tells whether the body of a PutItem marks a shard as ended.
func storesEnd(body []byte) bool {
	var in struct {
		Item struct{ B struct{ S string } }
	}
	var r leaseRow
	return json.Unmarshal(body, &in) == nil && json.Unmarshal([]byte(in.Item.B.S), &r) == nil && r.State == "ended"
}

// rawRow is the text of a row, which may be no JSON.
func rawRow(t *testing.T, b *bench, r leaseRow) string {
	t.Helper()
	out, err := b.clients.DynamoDB().GetItem(t.Context(), &dynamodb.GetItemInput{
		TableName: &b.leases, ConsistentRead: aws.Bool(true),
		Key: map[string]types.AttributeValue{"g": r.item["g"], "k": r.item["k"]},
	})
	if err != nil {
		t.Fatal(err)
	}
	var stored struct{ B string }
	if err := attributevalue.UnmarshalMap(out.Item, &stored); err != nil {
		t.Fatal(err)
	}
	return stored.B
}
