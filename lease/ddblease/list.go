package ddblease

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/runnelhq/runnel/lease"
)

// indexName is the index of changes: the same group, in the order of cursors.
const indexName = "changes"

// List yields the rows of a group. In full it is an eventually consistent query of the table. With a cursor it is a query of the index for what
// was stamped after it, less ten seconds, and a consistent read of those rows.
func (s *Store) List(ctx context.Context, group, after string) iter.Seq2[lease.Row, error] {
	return func(yield func(lease.Row, error) bool) {
		what := fmt.Sprintf("list %q", group)
		if _, _, err := split(group + "name"); err != nil || !strings.HasSuffix(group, "/") {
			yield(lease.Row{}, s.fault(ctx, "", what, fmt.Errorf("not a group that ends in a slash, of %d bytes of UTF-8 at most", maxGroup)))
			return
		}
		if from := since(after); from != "" {
			s.listSince(ctx, what, group, from, yield)
			return
		}
		for it, err := range s.query(ctx, what, &dynamodb.QueryInput{
			KeyConditionExpression:    new(attrGroup + " = :g"),
			ExpressionAttributeValues: item{":g": &types.AttributeValueMemberS{Value: group}},
		}) {
			if err != nil {
				yield(lease.Row{}, err)
				return
			}
			if !yield(s.decode(it), nil) {
				return
			}
		}
	}
}

// listSince yields the rows that the index has after from. Their names come first, all of them: pages of rows that move in the
// index while it is read would name a row twice.
func (s *Store) listSince(ctx context.Context, what, group, from string, yield func(lease.Row, error) bool) {
	named := map[string]bool{}
	var keys []string
	for it, err := range s.query(ctx, what, &dynamodb.QueryInput{
		IndexName:              new(indexName),
		ProjectionExpression:   new(attrName),
		KeyConditionExpression: new(attrGroup + " = :g AND " + attrCursor + " > :c"),
		ExpressionAttributeValues: item{
			":g": &types.AttributeValueMemberS{Value: group},
			":c": &types.AttributeValueMemberS{Value: from},
		},
	}) {
		if err != nil {
			yield(lease.Row{}, err)
			return
		}
		d := decoder{item: it}
		if key := group + d.text(attrName); !named[key] {
			named[key] = true
			keys = append(keys, key)
		}
	}
	for chunk := range slices.Chunk(keys, maxKeys) {
		rows, err := s.Get(ctx, chunk)
		if err != nil {
			yield(lease.Row{}, err)
			return
		}
		for _, row := range rows {
			if row.Version > 0 && !yield(row, nil) { // 0: deleted, and the index does not know yet
				return
			}
		}
	}
}

// query yields the items of all pages of a query of the table. An error is yielded last.
func (s *Store) query(ctx context.Context, what string, in *dynamodb.QueryInput) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		in.TableName = &s.table
		for {
			out, err := s.client.Query(ctx, in)
			if err != nil {
				yield(nil, s.fault(ctx, "Query", what, err))
				return
			}
			for _, it := range out.Items {
				if !yield(it, nil) {
					return
				}
			}
			if len(out.LastEvaluatedKey) == 0 {
				return
			}
			in.ExclusiveStartKey = out.LastEvaluatedKey
		}
	}
}
