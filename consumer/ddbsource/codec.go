package ddbsource

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"

	"github.com/runnelhq/runnel/consumer"
)

// version is that of the stored form. It rises when the form gains a field, so that a program that would lose the field refuses the bytes.
const version = 1

// Encode is the change as JSON: the record as GetRecords gives it, in DynamoDB's own form, after a version:
//
//	{"version":1,"eventName":"INSERT","dynamodb":{"Keys":{"id":{"S":"a"}},"NewImage":{"id":{"S":"a"},"total":{"N":"1.50"}},"SequenceNumber":"111"}}
//
// Nothing is lost: numbers are texts as the service writes them, bytes are base64, what is absent is told from what is empty, and an
// attribute to which the endpoint gave no type is null. Equal records have equal bytes, up to the order of
// the elements of a set, which is kept. It is a stored format: every later version of Decode reads it. The error names shard and position; it is of a record of another
// source, or of one with an attribute of a type that is not known.
func (s *Source) Encode(r consumer.Record) ([]byte, error) {
	sdk, ok := SDK(r)
	if !ok {
		return nil, s.errorf("shard %s, record %s: encode: %w", r.Shard, r.Position, errNoChange)
	}
	b, err := appendRecord(nil, &sdk)
	if err != nil {
		return nil, s.errorf("shard %s, record %s: encode: %w", r.Shard, r.Position, err)
	}
	return b, nil
}

// Decode makes Raw, for [Decode] and [SDK], of what [Source.Encode] gave; Data becomes nil. Bytes that are no such record are a [*consumer.DecodeError]. So are bytes of a newer
// version, or with a field that this one does not know: what is not known may be what a handler has to read.
func (s *Source) Decode(b []byte, r *consumer.Record) error {
	sdk, err := parseRecord(b)
	if err != nil {
		return &consumer.DecodeError{Shard: r.Shard, Position: r.Position, Err: fmt.Errorf("the stored change: %w", err)}
	}
	r.Raw, r.Data = (*raw)(sdk), nil
	return nil
}

func appendRecord(b []byte, r *types.Record) ([]byte, error) {
	b = strconv.AppendInt(append(b, `{"version":`...), version, 10)
	b = appendText(b, "eventID", r.EventID)
	b = appendName(b, "eventName", string(r.EventName))
	b = appendText(b, "eventVersion", r.EventVersion)
	b = appendText(b, "eventSource", r.EventSource)
	b = appendText(b, "awsRegion", r.AwsRegion)
	if u := r.UserIdentity; u != nil {
		b = appendObject(b, "userIdentity")
		b = appendText(b, "Type", u.Type)
		b = append(appendText(b, "PrincipalId", u.PrincipalId), '}')
	}
	b, err := appendChange(appendObject(b, "dynamodb"), r.Dynamodb)
	if err != nil {
		return nil, err
	}
	if b = append(b, "}}"...); !utf8.Valid(b) { // all that is quoted is in it as it is
		return nil, errors.New("a text that is no UTF-8")
	}
	return b, nil
}

func appendChange(b []byte, d *types.StreamRecord) (_ []byte, err error) {
	if t := d.ApproximateCreationDateTime; t != nil {
		if t.Unix() < 0 {
			return nil, fmt.Errorf("ApproximateCreationDateTime %v, before 1970", t)
		}
		b = appendSeconds(appendField(b, "ApproximateCreationDateTime"), *t)
	}
	for _, part := range [...]struct {
		name  string
		attrs map[string]types.AttributeValue
	}{{"Keys", d.Keys}, {"NewImage", d.NewImage}, {"OldImage", d.OldImage}} {
		if part.attrs == nil {
			continue
		}
		if b, err = appendAttributes(appendField(b, part.name), part.attrs); err != nil {
			return nil, fmt.Errorf("%s: %w", part.name, err)
		}
	}
	b = appendText(b, "SequenceNumber", d.SequenceNumber)
	if d.SizeBytes != nil {
		b = strconv.AppendInt(appendField(b, "SizeBytes"), *d.SizeBytes, 10)
	}
	return appendName(b, "StreamViewType", string(d.StreamViewType)), nil
}

// appendField begins a field of an object, behind a comma unless it is the first.
func appendField(b []byte, name string) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	return append(appendQuoted(b, name), ':')
}

func appendObject(b []byte, name string) []byte { return append(appendField(b, name), '{') }

func appendText(b []byte, name string, s *string) []byte {
	if s == nil {
		return b
	}
	return appendQuoted(appendField(b, name), *s)
}

// appendName appends a field of one of the SDK's enumerations, in which "" is absent.
func appendName(b []byte, name, s string) []byte {
	if s == "" {
		return b
	}
	return appendText(b, name, &s)
}

// appendSeconds is t as seconds since 1970, as a decimal: a float of 64 bits would lose nanoseconds.
func appendSeconds(b []byte, t time.Time) []byte {
	b = strconv.AppendInt(b, t.Unix(), 10)
	if ns := t.Nanosecond(); ns > 0 {
		b = append(b, strings.TrimRight(fmt.Sprintf(".%09d", ns), "0")...)
	}
	return b
}

func parseSeconds(s string) (time.Time, error) {
	whole, fraction, _ := strings.Cut(s, ".")
	sec, err := strconv.ParseUint(whole, 10, 63)
	if err != nil || len(fraction) > 9 {
		return time.Time{}, fmt.Errorf("%q is no number of seconds since 1970 with at most nine decimals", s)
	}
	ns, err := strconv.ParseUint((fraction + "000000000")[:9], 10, 32)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is no number of seconds since 1970 with at most nine decimals", s)
	}
	return time.Unix(int64(sec), int64(ns)).UTC(), nil //nolint:gosec // parsed as 63 and 30 bits
}

func parseRecord(b []byte) (*types.Record, error) {
	if !utf8.Valid(b) { // which package json would mend
		return nil, errors.New("it is no UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("it is no JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON")
	}
	o, err := objectOf(v)
	if err != nil {
		return nil, err
	}
	if n, ok := o["version"].(json.Number); !ok || n != json.Number(strconv.Itoa(version)) {
		return nil, fmt.Errorf("its version is %v; this program reads version %d", o["version"], version)
	}
	if o["dynamodb"] == nil {
		return nil, errors.New("it has no change")
	}
	r := &types.Record{}
	return r, each(o, func(name string, v any) (err error) {
		switch name {
		case "version":
		case "eventID":
			r.EventID, err = textOf(v)
		case "eventName":
			r.EventName, err = nameOf[types.OperationType](v)
		case "eventVersion":
			r.EventVersion, err = textOf(v)
		case "eventSource":
			r.EventSource, err = textOf(v)
		case "awsRegion":
			r.AwsRegion, err = textOf(v)
		case "userIdentity":
			r.UserIdentity, err = identityOf(v)
		case "dynamodb":
			r.Dynamodb, err = changeOf(v)
		default:
			err = errUnknown
		}
		return err
	})
}

func identityOf(v any) (*types.Identity, error) {
	o, err := objectOf(v)
	if err != nil {
		return nil, err
	}
	u := &types.Identity{}
	return u, each(o, func(name string, v any) (err error) {
		switch name {
		case "Type":
			u.Type, err = textOf(v)
		case "PrincipalId":
			u.PrincipalId, err = textOf(v)
		default:
			err = errUnknown
		}
		return err
	})
}

func changeOf(v any) (*types.StreamRecord, error) {
	o, err := objectOf(v)
	if err != nil {
		return nil, err
	}
	d := &types.StreamRecord{}
	return d, each(o, func(name string, v any) (err error) {
		switch name {
		case "ApproximateCreationDateTime":
			n, _ := v.(json.Number)
			var t time.Time
			t, err = parseSeconds(n.String())
			d.ApproximateCreationDateTime = &t
		case "Keys":
			d.Keys, err = attributesOf(v)
		case "NewImage":
			d.NewImage, err = attributesOf(v)
		case "OldImage":
			d.OldImage, err = attributesOf(v)
		case "SequenceNumber":
			d.SequenceNumber, err = textOf(v)
		case "SizeBytes":
			n, _ := v.(json.Number)
			var size int64
			size, err = strconv.ParseInt(n.String(), 10, 64)
			d.SizeBytes = &size
		case "StreamViewType":
			d.StreamViewType, err = nameOf[types.StreamViewType](v)
		default:
			err = errUnknown
		}
		return err
	})
}
