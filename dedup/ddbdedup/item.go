package ddbdedup

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/runnelhq/runnel/dedup"
)

// ErrPassed is wrapped, in a [*dedup.RolledBackError], by the error of a redrive of a record behind which its item has gone on: nothing tells whether it was applied.
var ErrPassed = errors.New("ddbdedup: the item has gone on behind the record, so that nothing tells whether it was applied")

var errLegacy = errors.New("ddbdedup: Item takes expressions, and none of AttributeUpdates, Expected and ConditionalOperator")

// Item applies records to items each of which keeps the mark of the last record that changed it, in an attribute: effect and mark are one write without a transaction, and there is no table of marks. It is for records that change one item
// each, and always the same of one key. See the package's documentation for what it promises, which is less than what a [Sink] does. It is safe for concurrent use.
type Item struct {
	Client *dynamodb.Client

	// Attribute begins the name of the attribute, which goes on with 16 hexadecimal digits that stand for the application and the stream's incarnation: marks of several do not meet in one item.
	// Defaults to "runnel_".
	Attribute string
}

// Update does in and stores the mark of its record with it, unless the item says that the record was applied. The output is nil if it says so, which it also does after a write whose answer was lost. Its errors are those of
// [dedup.Effects].Apply: a condition of in that does not hold is a [*dedup.RolledBackError] around a [*ConditionError], an owner who was succeeded is told by a [*dedup.RefusedError]. in has expressions, is not changed, and leaves the attribute
// of the mark alone.
func (i Item) Update(ctx context.Context, m dedup.Mark, in *dynamodb.UpdateItemInput) (out *dynamodb.UpdateItemOutput, err error) {
	if in.AttributeUpdates != nil || in.Expected != nil || in.ConditionalOperator != "" {
		return nil, &dedup.RolledBackError{Err: errLegacy}
	}
	user := expression{aws.ToString(in.ConditionExpression), in.ExpressionAttributeNames, in.ExpressionAttributeValues}
	err = i.apply(ctx, m, "UpdateItem", aws.ToString(in.TableName), user, func(ctx context.Context, e expression, p placeholders, mark types.AttributeValue) error {
		next := *in
		next.UpdateExpression = aws.String(assign(aws.ToString(in.UpdateExpression), p.name("")+" = "+p.value("")))
		e.values[p.value("")] = mark
		next.ConditionExpression, next.ExpressionAttributeNames, next.ExpressionAttributeValues = &e.condition, e.names, e.values
		next.ReturnValuesOnConditionCheckFailure = onFailure
		var err error
		out, err = i.Client.UpdateItem(ctx, &next, once)
		return conflict(err)
	})
	return out, err
}

// Put is as [Item.Update], and writes the whole item: attributes that in does not have are gone, also the marks of other applications and streams.
func (i Item) Put(ctx context.Context, m dedup.Mark, in *dynamodb.PutItemInput) (out *dynamodb.PutItemOutput, err error) {
	if in.Expected != nil || in.ConditionalOperator != "" {
		return nil, &dedup.RolledBackError{Err: errLegacy}
	}
	user := expression{aws.ToString(in.ConditionExpression), in.ExpressionAttributeNames, in.ExpressionAttributeValues}
	err = i.apply(ctx, m, "PutItem", aws.ToString(in.TableName), user, func(ctx context.Context, e expression, _ placeholders, mark types.AttributeValue) error {
		next := *in
		next.Item = maps.Clone(in.Item)
		if next.Item == nil {
			next.Item = item{}
		}
		next.Item[i.attribute(m)] = mark
		next.ConditionExpression, next.ExpressionAttributeNames, next.ExpressionAttributeValues = &e.condition, e.names, e.values
		if len(e.values) == 0 {
			next.ExpressionAttributeValues = nil
		}
		next.ReturnValuesOnConditionCheckFailure = onFailure
		var err error
		out, err = i.Client.PutItem(ctx, &next, once)
		return conflict(err)
	})
	return out, err
}

// attribute is the name of the attribute with marks like m. It is a stored format and never changes.
func (i Item) attribute(m dedup.Mark) string {
	sum := sha256.Sum256([]byte(escape(m.App) + " " + escape(m.Stream)))
	prefix := i.Attribute
	if prefix == "" {
		prefix = "runnel_"
	}
	return prefix + hex.EncodeToString(sum[:8])
}

// apply sends a write on the condition that the item admits the mark, beside the user's own.
func (i Item) apply(ctx context.Context, m dedup.Mark, op, table string, user expression, send func(context.Context, expression, placeholders, types.AttributeValue) error) error {
	if err := unavailable(ctx); err != nil {
		return err
	}
	c := &call{what: fmt.Sprintf("apply record %s of shard %s", m.Position, m.Shard), where: fmt.Sprintf("an item of table %q", table), nonce: rand.Text()}
	p := user.placeholders()
	next := itemMark{There: true, Shard: m.Shard, Epoch: m.Epoch, Session: m.Session, Generation: m.Generation, Sort: m.Position.Sort()}
	var was itemMark // as a redrive expects it: it has no epoch of its own, so that the item's stays
	for {
		e, mark := user.and(p, i.attribute(m)), next
		if m.Redrive {
			e = e.isExactly(p, was)
			if was.There && was.Shard == next.Shard {
				mark.Epoch, mark.Session = max(was.Epoch, next.Epoch), was.Session
			}
		} else {
			e = e.admits(p, next)
		}
		answer, err := c.write(ctx, op, func(ctx context.Context) error { return send(ctx, e.clone(), p, mark.value()) })
		var failed *types.ConditionalCheckFailedException
		switch {
		case err != nil:
			return err
		case answer == nil:
			return nil
		case !errors.As(answer, &failed):
			return &dedup.RolledBackError{Err: answer}
		}
		stored, err := decodeMark(failed.Item[i.attribute(m)])
		if err != nil {
			return c.fail(ctx, op, err)
		}
		fresh, err := stored.admit(m)
		switch {
		case !fresh:
			return err
		case m.Redrive && stored != was:
			was = stored
			continue
		}
		return &dedup.RolledBackError{Err: &ConditionError{Item: failed.Item}}
	}
}

// itemMark is what an item keeps of the last record that changed it.
type itemMark struct {
	There      bool
	Shard      string
	Epoch      uint64
	Session    string
	Generation uint64
	Sort       string // the position
}

// admit tells whether a record is to be applied to the item. One that is not, and is no repeat, is an error.
func (s itemMark) admit(m dedup.Mark) (fresh bool, err error) {
	refused := func(why error) (bool, error) {
		return false, &dedup.RefusedError{Err: why, Shard: s.Shard, Epoch: s.Epoch, Generation: s.Generation, Session: s.Session}
	}
	position := m.Position.Sort()
	switch {
	case !s.There, m.Generation > s.Generation:
		return true, nil
	case m.Redrive && s.Generation == m.Generation && s.Shard == m.Shard && s.Sort == position:
		return false, nil
	case m.Redrive && (s.Generation > m.Generation || s.Shard == m.Shard && s.Sort > position || s.Shard != m.Shard && s.Epoch >= m.Epoch):
		return false, &dedup.RolledBackError{Err: ErrPassed}
	case m.Redrive:
		return true, nil
	case m.Generation < s.Generation:
		return refused(dedup.ErrGeneration)
	case m.Epoch < s.Epoch, m.Epoch == s.Epoch && (s.Shard != m.Shard || s.Session != m.Session):
		return refused(dedup.ErrFenced)
	}
	return s.Shard != m.Shard || s.Sort < position, nil
}

// The fields of a stored mark. They are a stored format and never change.
const (
	fieldShard      = "s"
	fieldEpoch      = attrEpoch
	fieldSession    = attrSession
	fieldGeneration = attrGeneration
	fieldSort       = attrSort
)

// value is the attribute.
func (s itemMark) value() types.AttributeValue {
	return &types.AttributeValueMemberM{Value: item{
		fieldShard: text(escape(s.Shard)), fieldEpoch: number(s.Epoch), fieldSession: text(s.Session), fieldGeneration: number(s.Generation), fieldSort: text(s.Sort),
	}}
}

func decodeMark(v types.AttributeValue) (itemMark, error) {
	if v == nil {
		return itemMark{}, nil
	}
	stored, ok := v.(*types.AttributeValueMemberM)
	if !ok {
		return itemMark{}, fmt.Errorf("the attribute of its mark has type %T, want a map", v)
	}
	d := decoder{item: stored.Value}
	s := itemMark{There: true, Epoch: d.number(fieldEpoch), Session: d.text(fieldSession), Generation: d.number(fieldGeneration), Sort: d.text(fieldSort)}
	shard, err := unescape(d.text(fieldShard))
	if err != nil {
		d.fault(fieldShard, err)
	}
	s.Shard = shard
	return s, d.err
}
