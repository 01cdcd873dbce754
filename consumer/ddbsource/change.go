package ddbsource

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"

	"github.com/runnelhq/runnel/consumer"
)

// Event is what happened to an item.
type Event string

// The events. A write that changes nothing has none.
const (
	Insert Event = "INSERT"
	Modify Event = "MODIFY"
	Remove Event = "REMOVE"
)

var errNoChange = errors.New("it is no change of a DynamoDB item: it comes from another source, or was kept without Raw")

// Change is one change of an item, as a T. Attributes become fields as the AWS SDK's attributevalue package does it: by the name of the field or
// its tag `dynamodbav`. Old, New and Key are the handler's to keep; Record holds the whole answer that it came with, see [SDK].
type Change[T any] struct {
	Record consumer.Record
	Event  Event
	Key    T    // the item's key attributes; all other fields are zero
	Old    *T   // the item before, nil if it was not there or the stream's view type does not have it
	New    *T   // the item after, nil if it is gone or the stream's view type does not have it
	TTL    bool // a removal by DynamoDB itself, because the item's time to live was over
}

// Each is a handler of one change at a time. A record that does not become a T is a [*consumer.DecodeError], and handled as any failure:
// it is retried, for ever unless Config.Failure ends that.
func Each[T any](f func(ctx context.Context, c Change[T]) error) consumer.Handler {
	if f == nil {
		return consumer.Each(nil)
	}
	return consumer.Each(func(ctx context.Context, r consumer.Record) error {
		c, err := Decode[T](r)
		if err != nil {
			return err
		}
		return f(ctx, c)
	})
}

// Decode is the change that a record of this source holds. The error is a [*consumer.DecodeError]; it names the event, the part of the change and
// the attribute.
func Decode[T any](r consumer.Record) (Change[T], error) {
	c := Change[T]{Record: r}
	sdk, ok := SDK(r)
	if !ok {
		return c, &consumer.DecodeError{Shard: r.Shard, Position: r.Position, Err: errNoChange}
	}
	c.Event = Event(sdk.EventName)
	c.TTL = sdk.UserIdentity != nil && aws.ToString(sdk.UserIdentity.Type) == "Service" &&
		aws.ToString(sdk.UserIdentity.PrincipalId) == "dynamodb.amazonaws.com"
	fail := func(part string, err error) error {
		return &consumer.DecodeError{Shard: r.Shard, Position: r.Position, Err: fmt.Errorf("%s, %s: %w", c.Event, part, err)}
	}
	key, err := decode[T](sdk.Dynamodb.Keys)
	if err != nil {
		return c, fail("Keys", err)
	}
	if key != nil {
		c.Key = *key
	}
	if c.Old, err = decode[T](sdk.Dynamodb.OldImage); err != nil {
		return c, fail("OldImage", err)
	}
	if c.New, err = decode[T](sdk.Dynamodb.NewImage); err != nil {
		return c, fail("NewImage", err)
	}
	return c, nil
}

// decode is nil for an image that is not there: an item has at least its key.
func decode[T any](image map[string]types.AttributeValue) (*T, error) {
	if len(image) == 0 {
		return nil, nil
	}
	item, err := attributevalue.FromDynamoDBStreamsMap(image)
	if err != nil {
		return nil, err
	}
	v := new(T)
	if err := attributevalue.UnmarshalMap(item, v); err != nil {
		return nil, culprit[T](item, err)
	}
	return v, nil
}

// culprit adds to err the name of the attribute that does not fit, which the SDK does not tell.
func culprit[T any](item map[string]dynamodbtypes.AttributeValue, err error) error {
	for _, name := range slices.Sorted(maps.Keys(item)) {
		alone := map[string]dynamodbtypes.AttributeValue{name: item[name]}
		if attributevalue.UnmarshalMap(alone, new(T)) != nil {
			return fmt.Errorf("attribute %q does not fit %T: %w", name, *new(T), err)
		}
	}
	return fmt.Errorf("it does not fit %T: %w", *new(T), err)
}
