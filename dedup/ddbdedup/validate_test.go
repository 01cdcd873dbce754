package ddbdedup

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/dedup"
)

func TestASinkThatCannotWorkIsRefused(t *testing.T) {
	client := dynamodb.New(dynamodb.Options{})
	if err := New(client, "marks", nil).Validate(); err != nil {
		t.Errorf("the default: %v", err)
	}
	err := New(nil, "arn:aws:dynamodb:x", &Config{Stripes: 12, TTL: time.Millisecond}).Validate()
	for _, want := range []string{"New needs a client", `table "arn:aws:dynamodb:x"`, "Config.Stripes is 12", "Config.TTL is 1ms"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
	for _, stripes := range []int{-1, 128} {
		if err := New(client, "marks", &Config{Stripes: stripes}).Validate(); err == nil {
			t.Errorf("%d stripes are accepted", stripes)
		}
	}
}

// The stored forms never change: rows hold them.
func TestStoredForms(t *testing.T) {
	for lane, want := range map[string]int{"k": 38, "kcustomer 7": 31, "p0031200000000000": 59, "k\x00\xff": 4} {
		if got := stripe(laneKey(lane), MaxStripes); got != want {
			t.Errorf("lane %q is in stripe %d of 64, want %d", lane, got, want)
		}
	}
	m := dedup.Mark{App: "billing", Stream: "orders 1", Shard: "s%#\xff", Key: strings.Repeat("k", 1024), Position: checkpoint.Offset(120)}
	const shard = "billing orders%201 s%25%23%FF"
	for want, got := range map[string]item{
		shard + "|seal":                   headKey(m),
		shard + " 7|seal":                 stripeKey(m, 7),
		shard + " dead|0031200000000000":  deadKey(m),
		shard + " id 0031200000000000|id": idKey(m),
		shard + " 0|kkey":                 laneItemKey(m, 0, laneKey("kkey")),
	} {
		if got := got[attrPartition].(*types.AttributeValueMemberS).Value + "|" + string(got[attrKey].(*types.AttributeValueMemberB).Value); got != want {
			t.Errorf("the key is %q, want %q", got, want)
		}
	}
	if got := fmt.Sprintf("%x", laneKey(m.Lane())); got != "68011cc8dcade24f43d2d7f95605d8481da1d0b86475def49be02bfc20cee86e65" {
		t.Errorf("a long lane is %s", got)
	}
	m.Shard = strings.Repeat("s", 2048)
	if got := partition(m, ""); got != "#d4c39338c93bbecdde7edb68b4f794f701885dae7cb06fe812530fc2f778b2b9" {
		t.Errorf("a long partition key is %s", got)
	}
	if got := (Item{}).attribute(m); got != "runnel_59ff7c94030a54aa" {
		t.Errorf("the attribute of an item is %s", got)
	}
}

func TestAnAssignmentIsAddedToAnUpdate(t *testing.T) {
	for update, want := range map[string]string{
		"":                               "SET #r = :r",
		"ADD n :n":                       "SET #r = :r ADD n :n",
		"SET a = :a":                     "SET #r = :r, a = :a",
		"REMOVE b set a = :set":          "REMOVE b set #r = :r, a = :set",
		"ADD #set :set DELETE c :SET":    "SET #r = :r ADD #set :set DELETE c :SET",
		"ADD a.set :a, b[0] :b":          "SET #r = :r ADD a.set :a, b[0] :b",
		"SET\n\ta = if_not_exists(a,:a)": "SET #r = :r,\n\ta = if_not_exists(a,:a)",
	} {
		if got := assign(update, "#r = :r"); got != want {
			t.Errorf("%q becomes %q, want %q", update, got, want)
		}
	}
}
