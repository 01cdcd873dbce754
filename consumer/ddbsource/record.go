package ddbsource

import (
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
)

// raw is what a record of this source carries, and has a change. Where it was read, it is part of the answer, so who holds it holds all records of that.
type raw types.Record

// SDK is the record as the AWS SDK gave it, and false for a record of another source. What it refers to must not be changed, and may be kept. It holds
// nothing of other records, while Record.Raw, also a clone's, holds all of the answer that the record came in: up to 1,000 records and a few times 1 MB.
func SDK(r consumer.Record) (types.Record, bool) {
	held, ok := r.Raw.(*raw)
	if !ok {
		return types.Record{}, false
	}
	return types.Record(*held), true
}

// fill makes a record of what the service gave.
func (sh *shard) fill(to *consumer.Record, r *types.Record) (err error) {
	if r.Dynamodb == nil {
		return fmt.Errorf("a record without a change: %w", errEmpty)
	}
	if to.Position, err = checkpoint.Sequence(aws.ToString(r.Dynamodb.SequenceNumber)); err != nil {
		return fmt.Errorf("a record's sequence number: %w", err)
	}
	if to.Key, err = keyText(r.Dynamodb.Keys); err != nil {
		return fmt.Errorf("record %s: %w", to.Position, err)
	}
	to.Stream, to.Shard = sh.arn, sh.id
	to.Arrived = aws.ToTime(r.Dynamodb.ApproximateCreationDateTime)
	to.Raw = (*raw)(r)
	return nil
}

// keyText is the item's key as a record's Key: DynamoDB's own JSON without white space, the attributes in the order of their names as bytes, such as
// {"id":{"S":"a"},"n":{"N":"1.5"}}. Numbers are as the service writes them, which is one text for a number however it was put; bytes are base64. In strings only
// quotes, backslashes and control characters are escaped, the last as \u00XX. Positions and marks of keys are stored under it, so it never changes.
func keyText(keys map[string]types.AttributeValue) (string, error) {
	for name, v := range keys {
		switch v.(type) {
		case *types.AttributeValueMemberS, *types.AttributeValueMemberN, *types.AttributeValueMemberB:
		default:
			return "", fmt.Errorf("key attribute %q is a %T: keys are strings, numbers or bytes", name, v)
		}
	}
	b, err := appendAttributes(make([]byte, 0, 64), keys)
	return string(b), err
}

func appendQuoted(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// What holds memory besides the text and bytes of a record, about: the structs of a record and of an attribute, with its place in a map.
const (
	recordOverhead    = 700
	attributeOverhead = 80
)

func sizeOf(r *types.Record) int64 {
	d := r.Dynamodb
	return recordOverhead + int64(len(aws.ToString(r.EventID))+len(aws.ToString(d.SequenceNumber))) +
		mapSize(d.Keys) + mapSize(d.NewImage) + mapSize(d.OldImage)
}

func mapSize(m map[string]types.AttributeValue) int64 {
	var n int64
	for name, v := range m {
		n += int64(len(name)) + valueSize(v)
	}
	return n
}

func valueSize(v types.AttributeValue) int64 {
	n := int64(attributeOverhead)
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		n += int64(len(v.Value))
	case *types.AttributeValueMemberN:
		n += int64(len(v.Value))
	case *types.AttributeValueMemberB:
		n += int64(len(v.Value))
	case *types.AttributeValueMemberSS:
		n += textsSize(v.Value)
	case *types.AttributeValueMemberNS:
		n += textsSize(v.Value)
	case *types.AttributeValueMemberBS:
		n += textsSize(v.Value)
	case *types.AttributeValueMemberM:
		n += mapSize(v.Value)
	case *types.AttributeValueMemberL:
		for _, e := range v.Value {
			n += valueSize(e)
		}
	}
	return n
}

func textsSize[T string | []byte](texts []T) int64 {
	const header = 24
	var n int64
	for _, t := range texts {
		n += header + int64(len(t))
	}
	return n
}
