package ddbdedup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/internal/marks"
)

// maxStatements is the limit of one BatchExecuteStatement:
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchExecuteStatement.html
const maxStatements = 25

// Advance is that of [dedup.Sink]. It moves low first, then the low of stripes whose lanes go, and deletes their rows last: so a sending of an Apply that is late meets either a lane's row or a low that covers it. It fails with
// [dedup.ErrUnsettled] where low has moved and rows are left.
func (s *Sink) Advance(ctx context.Context, m dedup.Mark) error {
	if err := unavailable(ctx); err != nil || m.Scope == dedup.PerID {
		return err
	}
	c := s.call("advance shard %s", m.Shard)
	h, err := s.of(ctx, c, m)
	if err != nil {
		return err
	}
	if err := s.advance(ctx, c, m, h); err != nil {
		return err
	}
	h.owner.Advanced(m.Position)
	rows := h.below(h.owner.Seal().Low, m.Generation)
	if len(rows) == 0 {
		return nil
	}
	c = s.call("remove %d marks of keys below low of shard %s", len(rows), m.Shard)
	c.doubtful() // low has moved
	err = s.cover(ctx, c, m, h, rows)
	if _, succeeded := errors.AsType[*dedup.RefusedError](err); succeeded {
		return nil // since low has moved: the rows are the successor's
	}
	if err != nil {
		return err
	}
	return s.remove(ctx, c, m, h, rows)
}

// advance moves low of the shard.
func (s *Sink) advance(ctx context.Context, c *call, m dedup.Mark, h *held) error {
	for n := 1; ; n++ {
		low := h.owner.Seal().Low
		if low.Before(m.Position) {
			moved, err := s.move(ctx, c, m, headKey(m), m.Position, isAt, item{":was": text(low.Sort())}, nil)
			if moved || err != nil {
				return err
			}
		}
		head, err := s.head(ctx, c, m)
		if err != nil {
			return err
		}
		_, moves, err := head.seal.Advanced(m)
		switch {
		case err != nil:
			return err
		case head.seal.Low.Before(low):
			return forgotten(head.seal, m)
		}
		h.owner.Moved(head.seal.Low)
		if !moves {
			return nil
		}
		if err := backoff.Wait(ctx, retries.Delay(n)); err != nil {
			return c.fail(ctx, "UpdateItem", err)
		}
	}
}

// forgotten is the error of an owner whose writes were acknowledged and are not stored.
func forgotten(s marks.Seal, m dedup.Mark) error {
	return &dedup.RefusedError{Err: dedup.ErrNotSealed, Shard: m.Shard, Epoch: s.Epoch, Generation: s.Generation, Session: s.Session}
}

// move moves low of a row of m's owner, on a further condition. What failed it goes to failed, if that is not nil.
func (s *Sink) move(ctx context.Context, c *call, m dedup.Mark, key item, low checkpoint.Position, condition string, values item, failed func(item) error) (bool, error) {
	values = owner(fence(m), values)
	values[":low"], values[":text"] = text(low.Sort()), text(low.String())
	in := &dynamodb.UpdateItemInput{
		TableName: &s.table, Key: key,
		UpdateExpression:                    aws.String(setPosition),
		ConditionExpression:                 aws.String(isMine + " AND " + condition),
		ExpressionAttributeValues:           values,
		ReturnValuesOnConditionCheckFailure: onFailure,
	}
	answer, err := c.write(ctx, "UpdateItem", func(ctx context.Context) error {
		_, err := s.client.UpdateItem(ctx, in, once)
		return conflict(err)
	})
	if condition, ok := errors.AsType[*types.ConditionalCheckFailedException](answer); ok && failed != nil {
		return false, failed(condition.Item)
	}
	return s.changed(ctx, c, "UpdateItem", answer, err)
}

// cover moves low of the stripes that fence rows of this epoch, which may be asked for again by a late sending. Those of earlier owners are not.
func (s *Sink) cover(ctx context.Context, c *call, m dedup.Mark, h *held, rows map[string]row) error {
	places := make(map[int]bool)
	for key, r := range rows {
		if r.Epoch == m.Epoch && r.generation == m.Generation {
			places[stripe(key, h.stripes)] = true
		}
	}
	all := slices.Collect(maps.Keys(places))
	low := h.owner.Seal().Low
	return parallel(len(all), func(i int) error {
		_, err := s.move(ctx, c, m, stripeKey(m, all[i]), low, isBelow, nil, func(stored item) error {
			seal, err := decodeSeal(stored)
			if err != nil {
				return c.fail(ctx, "UpdateItem", err)
			}
			return seal.Admits(m) // nil: it is there already
		})
		return err
	})
}

// remove deletes rows that are still as they were read, or written.
func (s *Sink) remove(ctx context.Context, c *call, m dedup.Mark, h *held, rows map[string]row) error {
	const op = "BatchExecuteStatement"
	statement := fmt.Sprintf("DELETE FROM %q WHERE %s = ? AND %s = ? AND %s = ? AND %s = ?", s.table, attrPartition, attrKey, attrSort, attrGeneration)
	batches := slices.Collect(slices.Chunk(slices.Sorted(maps.Keys(rows)), maxStatements))
	return parallel(len(batches), func(i int) error {
		left := batches[i]
		answer, err := c.write(ctx, op, func(ctx context.Context) error {
			in := &dynamodb.BatchExecuteStatementInput{}
			for _, key := range left {
				r := rows[key]
				in.Statements = append(in.Statements, types.BatchStatementRequest{Statement: &statement, Parameters: []types.AttributeValue{
					text(stripePartition(m, r.stripe)), binary(key), text(r.Position.Sort()), number(r.generation),
				}})
			}
			out, err := s.client.BatchExecuteStatement(ctx, in, once)
			if err != nil {
				return err
			}
			gone := make(map[string]row)
			var rest []string
			for j, r := range out.Responses {
				if e := statementError(r.Error); e != nil {
					rest = append(rest, left[j])
					err = e
					continue
				}
				gone[left[j]] = rows[left[j]] // or it was changed meanwhile, and is not what it was
			}
			h.drop(gone)
			left = rest
			return err
		})
		if answer != nil {
			return c.fail(ctx, op, answer)
		}
		return err
	})
}

// statementError is the error of a statement that is not done, and nil of one that is, or whose row is another.
func statementError(e *types.BatchStatementError) error {
	if e == nil || e.Code == types.BatchStatementErrorCodeEnumConditionalCheckFailed {
		return nil
	}
	err := &smithy.GenericAPIError{Code: string(e.Code), Message: aws.ToString(e.Message)}
	switch e.Code {
	case types.BatchStatementErrorCodeEnumRequestLimitExceeded, types.BatchStatementErrorCodeEnumProvisionedThroughputExceeded, types.BatchStatementErrorCodeEnumThrottlingError,
		types.BatchStatementErrorCodeEnumTransactionConflict, types.BatchStatementErrorCodeEnumInternalServerError:
		return again{err}
	}
	return err
}
