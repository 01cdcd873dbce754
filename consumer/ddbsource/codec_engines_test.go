//go:build engines

package ddbsource_test

import (
	"crypto/rand"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/ddbsource"
	"github.com/runnelhq/runnel/internal/readtest"
)

type attributes = map[string]types.AttributeValue

func stringOf(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
func numberOf(n string) types.AttributeValue { return &types.AttributeValueMemberN{Value: n} }
func blobOf(b string) types.AttributeValue   { return &types.AttributeValueMemberB{Value: []byte(b)} }

// changesOf makes a table whose keys are id and line of these types, puts the items into it one after the other, and reads their changes. Items differ, so each is a change.
func changesOf(t *testing.T, id, line types.ScalarAttributeType, items ...attributes) []consumer.Record {
	t.Helper()
	tab := &table{clients: stack.Clients, client: stack.DynamoDB(), name: "ddbsource-" + rand.Text()}
	_, err := tab.client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: &tab.name, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: id}, {AttributeName: aws.String("line"), AttributeType: line}},
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String("id"), KeyType: types.KeyTypeHash}, {AttributeName: aws.String("line"), KeyType: types.KeyTypeRange},
		},
		StreamSpecification: &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewTypeNewAndOldImages},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := tab.delete(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	for _, item := range items {
		if _, err := tab.client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &tab.name, Item: item}); err != nil {
			t.Fatal(err)
		}
	}
	s := newSource(tab.clients, tab.name)
	_, shards := readtest.Stream(t, s)
	r := readtest.Open(t, s, shards[0].ID, checkpoint.Start{})
	var got []consumer.Record
	for deadline := time.Now().Add(time.Minute); len(got) < len(items); {
		if got = append(got, readtest.Next(t, r, consumer.Want{}).Records...); time.Now().After(deadline) {
			t.Fatalf("%d changes came, want %d", len(got), len(items))
		}
	}
	return got
}

func TestEveryChangeComesBackEqualOnTheEndpoint(t *testing.T) {
	key := func(item attributes) attributes {
		item["id"], item["line"] = stringOf("a"), numberOf("7")
		return item
	}
	for _, r := range changesOf(t, types.ScalarAttributeTypeS, types.ScalarAttributeTypeN,
		key(attributes{"was": stringOf("")}),
		key(attributes{
			"text": stringOf("\"\\\n<é>\u2028"), "number": numberOf("-1234567890123456789012345678901234567.8"), "small": numberOf("1e-130"), "bytes": blobOf("\xff\x00"), "none": blobOf(""),
			"texts": &types.AttributeValueMemberSS{Value: []string{"b", "", "a"}}, "numbers": &types.AttributeValueMemberNS{Value: []string{"3", "1.50", "2"}},
			"blobs": &types.AttributeValueMemberBS{Value: [][]byte{[]byte("b"), {}, []byte("a")}},
			"yes":   &types.AttributeValueMemberBOOL{Value: true}, "no": &types.AttributeValueMemberBOOL{}, "null": &types.AttributeValueMemberNULL{Value: true},
			"map":  &types.AttributeValueMemberM{Value: attributes{" ": numberOf("1"), "list": &types.AttributeValueMemberL{Value: []types.AttributeValue{&types.AttributeValueMemberM{Value: attributes{}}}}}},
			"list": &types.AttributeValueMemberL{Value: []types.AttributeValue{}},
		}),
		key(attributes{"is": blobOf("x")}),
	) {
		b := encode(t, r)
		back := again(t, r, b)
		if !reflect.DeepEqual(back, r) {
			t.Errorf("%s\ncomes back as\n%s", b, encode(t, back))
		}
		was, wasErr := ddbsource.Decode[map[string]any](r)
		is, isErr := ddbsource.Decode[map[string]any](back)
		is.Record = was.Record
		if !reflect.DeepEqual(is, was) || fmt.Sprint(isErr) != fmt.Sprint(wasErr) { // an empty map in a list is nothing that LocalStack gives so that it can be decoded
			t.Errorf("a handler reads %+v, %v\nand read %+v, %v", is, isErr, was, wasErr)
		}
	}
}

// One item has one key, however its numbers were written, and another item another.
func TestKeysOnTheEndpoint(t *testing.T) {
	var numbers, texts []attributes
	var item []int // of each number
	for i, same := range [][]string{
		{"1", "1.0", "01", "1e0", "10E-1", "+1"}, {"0", "-0", "0.0", "0e5"}, {"-1.5", "-01.50", "-15e-1"}, {"100", "1E2", "100.00"}, {"0.001", "1e-3", ".0010"},
		{"1e100", "10e99", "1" + strings.Repeat("0", 100)}, {"1e-100", "0." + strings.Repeat("0", 99) + "1"},
		{"123456789012345678901234567890.12345678", "12345678901234567890123456789012345678e-8"}, {"123456789012345678901234567890.12345679"},
	} {
		for _, n := range same {
			numbers = append(numbers, attributes{"id": numberOf(n), "line": blobOf("\x00|\xff"), "change": stringOf(n)})
			item = append(item, i)
		}
	}
	keys := make(map[string]int)
	for i, r := range changesOf(t, types.ScalarAttributeTypeN, types.ScalarAttributeTypeB, numbers...) {
		if other, ok := keys[r.Key]; ok && other != item[i] {
			t.Errorf("%s is the key of the items %d and %d", r.Key, other, item[i])
		}
		keys[r.Key] = item[i]
	}
	if want := item[len(item)-1] + 1; len(keys) != want {
		t.Errorf("%d items have the keys %v", want, keys)
	}
	for _, pair := range [][2]string{{"a", "b|c"}, {"a|b", "c"}, {`a"},"line":{"S":"b`, "c"}, {"a", `b"},"line":{"S":"c`}, {`a\`, `"b`}, {`a\"`, "b"}, {"\x01", "b"}, {`\u0001`, "b"}} {
		texts = append(texts, attributes{"id": stringOf(pair[0]), "line": stringOf(pair[1])})
	}
	clear(keys)
	for i, r := range changesOf(t, types.ScalarAttributeTypeS, types.ScalarAttributeTypeS, texts...) {
		if other, ok := keys[r.Key]; ok {
			t.Errorf("%s is the key of the items %d and %d", r.Key, other, i)
		}
		keys[r.Key] = i
	}
}
