package ddbsource_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
	"pgregory.net/rapid"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/ddbsource"
	"github.com/runnelhq/runnel/internal/readtest"
)

// served is a record as a consumer gets it, of what GetRecords answers; sequence number and time are the fake's.
func served(t *testing.T, answer map[string]any) consumer.Record {
	t.Helper()
	f := newFake(holding(shardID(0), 1))
	f.shards[0].records[0].record = answer
	return readtest.Next(t, open(t, f, checkpoint.Start{}), consumer.Want{}).Records[0]
}

func codec() *ddbsource.Source { return newFake().source(nil) }

// again is a record as a redrive makes it: what a letter keeps beside the bytes, and what Decode sets. The bytes are gone afterwards.
func again(t *testing.T, r consumer.Record, b []byte) consumer.Record {
	t.Helper()
	r.Raw, r.Data = nil, []byte("of before")
	b = bytes.Clone(b)
	if err := codec().Decode(b, &r); err != nil {
		t.Fatalf("decode %s: %v", b, err)
	}
	clear(b)
	return r
}

func encode(t *testing.T, r consumer.Record) []byte {
	t.Helper()
	b, err := codec().Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// golden is a stored change with everything that one can have. Stored letters have this form: it never changes.
const golden = `{"version":1,"eventID":"e1","eventName":"REMOVE","eventVersion":"1.1","eventSource":"aws:dynamodb","awsRegion":"us-east-1",` +
	`"userIdentity":{"Type":"Service","PrincipalId":"dynamodb.amazonaws.com"},` +
	`"dynamodb":{"ApproximateCreationDateTime":1764359347.25,` +
	`"Keys":{"id":{"S":"a"},"line":{"N":"7"}},` +
	`"NewImage":{},` +
	`"OldImage":{"all":{"M":{"\"\\\u000a<é>":{"S":""},"bools":{"L":[{"BOOL":true},{"BOOL":false},{"NULL":true}]},"bytes":{"B":"/wA="},"empty":{"L":[]},` +
	`"none":{"B":""},"nothing":{"M":{}},"sets":{"L":[{"SS":["b","a"]},{"NS":["2","1"]},{"BS":["/w==",""]}]}}},` +
	`"id":{"S":"a"},"line":{"N":"7"},"total":{"N":"12345678901234567890123456789012345678"}},` +
	`"SequenceNumber":"000000000000000000111","SizeBytes":1234,"StreamViewType":"NEW_AND_OLD_IMAGES"}}`

func TestStoredChangeNeverChanges(t *testing.T) {
	r := again(t, consumer.Record{Shard: shardID(0)}, []byte(golden))
	if got := encode(t, r); string(got) != golden {
		t.Errorf("the stored change\n\t%s\nis encoded as\n\t%s", golden, got)
	}
	untyped := stored(`"dynamodb":{"NewImage":{"a":null,"b":{"L":[null]}}}`)
	if got := encode(t, again(t, consumer.Record{}, []byte(untyped))); string(got) != untyped {
		t.Errorf("the stored change %s is encoded as %s", untyped, got)
	}
	c, err := ddbsource.Decode[struct {
		ID    string `dynamodbav:"id"`
		Total string `dynamodbav:"total,string"`
		All   struct {
			Bytes []byte `dynamodbav:"bytes"`
			Bools []*bool
			Sets  []any
		} `dynamodbav:"all"`
	}](r)
	if err != nil {
		t.Fatal(err)
	}
	if !c.TTL || c.Event != ddbsource.Remove || c.Key.ID != "a" || c.New != nil || string(c.Old.All.Bytes) != "\xff\x00" {
		t.Errorf("a handler reads %+v", c)
	}
	sdk, _ := ddbsource.SDK(r)
	if at := sdk.Dynamodb.ApproximateCreationDateTime.UnixMilli(); at != 1764359347250 {
		t.Errorf("it was made at %d, in milliseconds", at)
	}
	if r.Data != nil {
		t.Errorf("Data is %q", r.Data)
	}
	for name, v := range map[string]any{"Record": sdk, "StreamRecord": *sdk.Dynamodb, "Identity": *sdk.UserIdentity} {
		for v, i := reflect.ValueOf(v), 0; i < v.NumField(); i++ {
			if f := v.Type().Field(i); f.IsExported() && v.Field(i).IsZero() {
				t.Errorf("the SDK's %s has the field %s, which a stored change does not have", name, f.Name)
			}
		}
	}
}

// items are the attributes of an item in DynamoDB's own form: of every type, empty ones too, and nested.
func items(depth int) *rapid.Generator[map[string]any] {
	return rapid.MapOfN(rapid.String(), attribute(depth), 0, 4)
}

func attribute(depth int) *rapid.Generator[any] {
	one := func(kind string, v *rapid.Generator[any]) *rapid.Generator[any] {
		return rapid.Map(v, func(v any) any { return map[string]any{kind: v} })
	}
	number := rapid.StringMatching(`-?[0-9]{1,38}(\.[0-9]{1,30})?(E[+-]?[0-9]{1,3})?`)
	blob := rapid.Map(rapid.SliceOf(rapid.Byte()), base64.StdEncoding.EncodeToString)
	kinds := []*rapid.Generator[any]{
		one("S", rapid.String().AsAny()), one("N", number.AsAny()), one("B", blob.AsAny()),
		one("SS", rapid.SliceOf(rapid.String()).AsAny()), one("NS", rapid.SliceOf(number).AsAny()), one("BS", rapid.SliceOf(blob).AsAny()),
		one("BOOL", rapid.Bool().AsAny()), one("NULL", rapid.Just(true).AsAny()), rapid.Just[any](map[string]any{}), // the last has no type
	}
	if depth > 0 {
		kinds = append(kinds, one("M", items(depth-1).AsAny()), one("L", rapid.SliceOfN(attribute(depth-1), 0, 4).AsAny()))
	}
	return rapid.OneOf(kinds...)
}

// itemKeys are the key attributes of an item, which are texts, numbers or bytes.
func itemKeys() *rapid.Generator[map[string]any] {
	return rapid.Map(items(0), func(keys map[string]any) map[string]any {
		maps.DeleteFunc(keys, func(_ string, v any) bool {
			a := v.(map[string]any)
			return a["S"] == nil && a["N"] == nil && a["B"] == nil
		})
		return keys
	})
}

func records() *rapid.Generator[map[string]any] {
	return rapid.Custom(func(t *rapid.T) map[string]any {
		change := map[string]any{"Keys": map[string]any{"id": text("a")}}
		r := map[string]any{"dynamodb": change}
		sometimes := func(in map[string]any, name string, v *rapid.Generator[any]) {
			if rapid.Bool().Draw(t, "has "+name) {
				in[name] = v.Draw(t, name)
			}
		}
		for _, name := range []string{"eventID", "eventName", "eventVersion", "eventSource", "awsRegion"} {
			sometimes(r, name, rapid.String().AsAny())
		}
		user := map[string]any{}
		sometimes(user, "Type", rapid.String().AsAny())
		sometimes(user, "PrincipalId", rapid.String().AsAny())
		sometimes(r, "userIdentity", rapid.Just(user).AsAny())
		sometimes(change, "Keys", itemKeys().AsAny())
		for _, name := range []string{"NewImage", "OldImage"} {
			sometimes(change, name, items(3).AsAny())
		}
		sometimes(change, "SizeBytes", rapid.Int64().AsAny())
		sometimes(change, "StreamViewType", rapid.SampledFrom([]string{"KEYS_ONLY", "NEW_IMAGE", "of a newer service"}).AsAny())
		return r
	})
}

func TestEveryChangeComesBackEqual(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := served(t, records().Draw(rt, "record"))
		b := encode(t, r)
		back := again(t, r, b)
		if !reflect.DeepEqual(back, r) {
			rt.Fatalf("%s\ncomes back as\n%s", b, encode(t, back))
		}
		if !bytes.Equal(encode(t, r), b) || !bytes.Equal(encode(t, back), b) {
			rt.Fatalf("equal changes are not encoded as the same bytes: %s", b)
		}
		if !json.Valid(b) {
			rt.Fatalf("no JSON: %s", b)
		}
	})
}

func TestEncodeRefusesWhatItWouldLose(t *testing.T) {
	garbled := served(t, map[string]any{"dynamodb": map[string]any{"Keys": keys}})
	sdk, _ := ddbsource.SDK(garbled)
	sdk.Dynamodb.Keys["id"] = &types.AttributeValueMemberS{Value: "\xff"}
	early := served(t, map[string]any{"dynamodb": map[string]any{"Keys": keys}})
	sdk, _ = ddbsource.SDK(early)
	*sdk.Dynamodb.ApproximateCreationDateTime = time.Unix(-1, 5e8)
	newer := served(t, map[string]any{"dynamodb": map[string]any{"Keys": keys}})
	sdk, _ = ddbsource.SDK(newer)
	sdk.Dynamodb.NewImage = map[string]types.AttributeValue{"a": &types.AttributeValueMemberL{Value: []types.AttributeValue{
		&types.UnknownUnionMember{Tag: "NEWER"}, &types.AttributeValueMemberS{Value: "z"},
	}}}
	for says, r := range map[string]consumer.Record{
		"no change of a DynamoDB item": {Shard: shardID(0), Position: readtest.Position(t, seq(1)), Data: []byte("x")},
		"no UTF-8":                     garbled,
		"before 1970":                  early,
		`NewImage: "a": an attribute of the unknown type`: newer,
	} {
		b, err := codec().Encode(r)
		if err == nil {
			t.Errorf("%s: encoded as %s", says, b)
			continue
		}
		for _, part := range []string{says, shardID(0), seq(1)} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("the error %q does not say %q", err, part)
			}
		}
	}
}

func stored(s string) string { return `{"version":1,` + s + `}` }

func TestDecodeRefusesWhatIsNoStoredChange(t *testing.T) {
	image := func(s string) string { return stored(`"dynamodb":{"NewImage":{"a":` + s + `}}`) }
	for b, says := range map[string]string{
		"":                     "no JSON",
		golden[:len(golden)-1]: "no JSON",
		golden + "{}":          "follows",
		strings.ReplaceAll(golden, "us-east-1", "\xff"): "UTF-8",
		"null":                                   "another JSON type",
		`{}`:                                     "version is <nil>",
		`{"version":1}`:                          "no change",
		`{"version":1,"dynamodb":null}`:          "no change",
		strings.Replace(golden, `:1,`, `:2,`, 1): "version is 2",
		strings.Replace(golden, `:1,`, `:"1",`, 1):                        "version is 1",
		stored(`"dynamodb":{},"new":1`):                                   `"new": it is not known`,
		stored(`"dynamodb":{"new":1}`):                                    `"dynamodb": "new": it is not known`,
		stored(`"dynamodb":{},"userIdentity":{"type":""}`):                `"type": it is not known`,
		stored(`"dynamodb":{},"userIdentity":1`):                          `"userIdentity"`,
		stored(`"dynamodb":{},"eventName":1`):                             `"eventName"`,
		stored(`"dynamodb":{},"eventID":null`):                            `"eventID"`,
		stored(`"dynamodb":{"SizeBytes":"1"}`):                            `"SizeBytes"`,
		stored(`"dynamodb":{"SizeBytes":1.5}`):                            `"SizeBytes"`,
		stored(`"dynamodb":{"ApproximateCreationDateTime":-1}`):           `"ApproximateCreationDateTime"`,
		stored(`"dynamodb":{"ApproximateCreationDateTime":1e9}`):          `"ApproximateCreationDateTime"`,
		stored(`"dynamodb":{"ApproximateCreationDateTime":1.0000000001}`): "nine decimals",
		stored(`"dynamodb":{"ApproximateCreationDateTime":{}}`):           `"ApproximateCreationDateTime"`,
		stored(`"dynamodb":{"Keys":[]}`):                                  `"Keys"`,
		image(`{}`):                                                       "one type, not 0",
		image(`{"S":"1","N":"1"}`):                                        "one type, not 2",
		image(`{"s":"1"}`):                                                "not known",
		image(`{"N":1}`):                                                  `"N"`,
		image(`{"B":"!"}`):                                                `"B"`,
		image(`{"B":"/x=="}`):                                             `"B"`,
		image(`{"BS":["","/"]}`):                                          "element 1",
		image(`{"SS":null}`):                                              `"SS"`,
		image(`{"NULL":"true"}`):                                          `"NULL"`,
		image(`{"L":[{"S":"1"},1]}`):                                      `"dynamodb": "NewImage": "a": "L": element 1`,
		image(`"x"`):                                                      `"a"`,
	} {
		r := consumer.Record{Shard: shardID(0), Position: readtest.Position(t, seq(1)), Data: []byte("as it was")}
		err := codec().Decode([]byte(b), &r)
		wrong, is := errors.AsType[*consumer.DecodeError](err)
		if !is || wrong.Shard != r.Shard || wrong.Position != r.Position || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want a DecodeError with shard and position that says %s", b, err, says)
		}
		if r.Raw != nil || string(r.Data) != "as it was" {
			t.Errorf("%s: the record became %+v", b, r)
		}
	}
}

// FuzzStoredChange: whatever Decode takes, a handler can read it, and encoding it and decoding it again changes nothing.
func FuzzStoredChange(f *testing.F) {
	f.Add([]byte(golden))
	f.Add([]byte(stored(`"dynamodb":{"NewImage":{"a":{"L":[{"M":{"b":{"NS":["1"]}}},{"NULL":false}]}}}`)))
	f.Add([]byte(stored(`"dynamodb":{"ApproximateCreationDateTime":0.000000001,"SizeBytes":-1}`)))
	f.Add([]byte(`{"version":2}`))
	s := codec()
	f.Fuzz(func(t *testing.T, b []byte) {
		r := consumer.Record{Shard: "s"}
		if err := s.Decode(b, &r); err != nil {
			var wrong *consumer.DecodeError
			if !errors.As(err, &wrong) || r.Raw != nil {
				t.Fatalf("%v, Raw %v", err, r.Raw)
			}
			return
		}
		if _, err := ddbsource.Decode[map[string]any](r); err != nil {
			if _, is := errors.AsType[*consumer.DecodeError](err); !is {
				t.Fatal(err)
			}
		}
		first, err := s.Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		back := consumer.Record{Shard: "s"}
		if err := s.Decode(first, &back); err != nil || !reflect.DeepEqual(back, r) {
			t.Fatalf("%s is encoded as %s, and comes back as %+v, %v", b, first, back, err)
		}
	})
}
