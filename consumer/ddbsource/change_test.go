package ddbsource_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/ddbsource"
	"github.com/runnelhq/runnel/internal/readtest"
)

type order struct {
	ID    string `dynamodbav:"id"`
	Line  int    `dynamodbav:"line"`
	Total float64
	Tags  []string
}

func text(s string) map[string]any   { return map[string]any{"S": s} }
func number(n string) map[string]any { return map[string]any{"N": n} }

// one is the record that a stream gives for a change, as a consumer gets it.
func one(t *testing.T, event string, user map[string]any, parts map[string]any) consumer.Record {
	t.Helper()
	f := newFake(holding(shardID(0), 1))
	rec := map[string]any{"eventName": event, "dynamodb": parts}
	if user != nil {
		rec["userIdentity"] = user
	}
	f.shards[0].records[0].record = rec
	return readtest.Next(t, open(t, f, checkpoint.Start{}), consumer.Want{}).Records[0]
}

var (
	keys   = map[string]any{"id": text("a"), "line": number("7")}
	before = map[string]any{"id": text("a"), "line": number("7"), "Total": number("1.5")}
	after  = map[string]any{"id": text("a"), "line": number("7"), "Total": number("2"), "Tags": map[string]any{"L": []any{text("x")}}}
	key    = order{ID: "a", Line: 7}
	old    = &order{ID: "a", Line: 7, Total: 1.5}
	fresh  = &order{ID: "a", Line: 7, Total: 2, Tags: []string{"x"}}
)

func TestChangesUnderEachViewType(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			name, event string
			parts       map[string]any
			old, new    *order
		}{
			{"both", "INSERT", map[string]any{"Keys": keys, "NewImage": after}, nil, fresh},
			{"both", "MODIFY", map[string]any{"Keys": keys, "OldImage": before, "NewImage": after}, old, fresh},
			{"both", "REMOVE", map[string]any{"Keys": keys, "OldImage": before}, old, nil},
			{"new", "MODIFY", map[string]any{"Keys": keys, "NewImage": after}, nil, fresh},
			{"new", "REMOVE", map[string]any{"Keys": keys}, nil, nil},
			{"old", "INSERT", map[string]any{"Keys": keys}, nil, nil},
			{"old", "MODIFY", map[string]any{"Keys": keys, "OldImage": before}, old, nil},
			{"keys", "MODIFY", map[string]any{"Keys": keys}, nil, nil},
		} {
			r := one(t, c.event, nil, c.parts)
			got, err := ddbsource.Decode[order](r)
			if err != nil {
				t.Fatalf("%s, %s: %v", c.name, c.event, err)
			}
			want := ddbsource.Change[order]{Record: r, Event: ddbsource.Event(c.event), Key: key, Old: c.old, New: c.new}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s, %s: the change is %+v, want %+v", c.name, c.event, got, want)
			}
		}
	})
}

func TestRemovalByTimeToLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			user map[string]any
			ttl  bool
		}{
			"nobody":          {nil, false},
			"DynamoDB":        {map[string]any{"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}, true},
			"another service": {map[string]any{"Type": "Service", "PrincipalId": "replication.dynamodb.amazonaws.com"}, false},
			"a user":          {map[string]any{"Type": "IAMUser", "PrincipalId": "dynamodb.amazonaws.com"}, false},
		} {
			got, err := ddbsource.Decode[order](one(t, "REMOVE", c.user, map[string]any{"Keys": keys}))
			if err != nil || got.TTL != c.ttl {
				t.Errorf("removed by %s: TTL is %v, %v, want %v", name, got.TTL, err, c.ttl)
			}
		}
	})
}

func TestDecodeErrorNamesTheAttribute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := map[string]any{"id": text("a"), "line": number("7"), "Total": text("much")}
		for part, parts := range map[string]map[string]any{
			"NewImage": {"Keys": keys, "NewImage": bad}, "OldImage": {"Keys": keys, "OldImage": bad}, "Keys": {"Keys": bad2()},
		} {
			_, err := ddbsource.Decode[order](one(t, "MODIFY", nil, parts))
			var wrong *consumer.DecodeError
			if !errors.As(err, &wrong) || wrong.Shard != shardID(0) || wrong.Position != readtest.Position(t, seq(1)) {
				t.Fatalf("%s: %v, want a DecodeError with shard and position", part, err)
			}
			attribute := map[string]string{"NewImage": "Total", "OldImage": "Total", "Keys": "line"}[part]
			for _, want := range []string{shardID(0), seq(1), "MODIFY", part, `"` + attribute + `"`, "order"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%s: the error %q does not name %s", part, err, want)
				}
			}
		}
	})
}

func bad2() map[string]any { return map[string]any{"id": text("a"), "line": text("seven")} }

func TestDecodeRefusesRecordsOfOtherSources(t *testing.T) {
	_, err := ddbsource.Decode[order](consumer.Record{Shard: "s", Data: []byte("{}")})
	var wrong *consumer.DecodeError
	if !errors.As(err, &wrong) || wrong.Shard != "s" {
		t.Errorf("a record without a change gives %v, want a DecodeError", err)
	}
}

func TestEachHandlesChangesInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good := one(t, "INSERT", nil, map[string]any{"Keys": keys, "NewImage": after})
		wrong := one(t, "INSERT", nil, map[string]any{"Keys": bad2()})
		var seen []string
		h := ddbsource.Each(func(_ context.Context, c ddbsource.Change[order]) error {
			seen = append(seen, c.New.ID)
			return nil
		})
		err := h.Handle(t.Context(), []consumer.Record{good, wrong, good})
		var partial *consumer.PartialError
		var decode *consumer.DecodeError
		if !errors.As(err, &partial) || partial.Done != 1 || !errors.As(err, &decode) || len(seen) != 1 {
			t.Errorf("a batch with a bad record in the middle gives %v after %v, want one done and a DecodeError", err, seen)
		}
	})
}

func TestKeyIsUnambiguousAndStable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for want, keys := range map[string]map[string]any{
			`{"id":{"S":"a"},"line":{"N":"7"}}`:                     keys,
			`{"id":{"S":"7"}}`:                                      {"id": text("7")},
			`{"id":{"N":"7"}}`:                                      {"id": number("7")},
			`{"id":{"N":"7.0"}}`:                                    {"id": number("7.0")},
			`{"id":{"B":"/wA="}}`:                                   {"id": map[string]any{"B": "/wA="}},
			`{"i\"d":{"S":"\"},\\\u000a<é>"}}`:                      {`i"d`: text("\"},\\\n<é>")},
			`{"A":{"S":"1"},"a":{"S":"2"}}`:                         {"a": text("2"), "A": text("1")},
			`{"id":{"S":"a\"},\"line\":{\"N\":\"7"}}`:               {"id": text(`a"},"line":{"N":"7`)},
			`{"id":{"N":"12345678901234567890123456789012345678"}}`: {"id": number("12345678901234567890123456789012345678")},
		} {
			for range 8 { // the order of a map is another each time
				if got := one(t, "MODIFY", nil, map[string]any{"Keys": keys}).Key; got != want {
					t.Errorf("the key of %v is %s, want %s", keys, got, want)
				}
			}
		}
	})
}

// A key from which the item's attributes can be read again is no other item's; the order of a map is another each time.
func TestKeyIsTheItemsAlone(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		keys := itemKeys().Draw(rt, "keys")
		answer := map[string]any{"dynamodb": map[string]any{"Keys": keys}}
		key := served(t, answer).Key
		var read map[string]any
		if err := json.Unmarshal([]byte(key), &read); err != nil || !reflect.DeepEqual(read, keys) {
			rt.Fatalf("the key of %v is %s, which reads %v, %v", keys, key, read, err)
		}
		if again := served(t, answer).Key; again != key {
			rt.Fatalf("the key of %v is %s, and %s", keys, key, again)
		}
	})
}
