package lease

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
)

// mixed is fields of every type that rows have.
type mixed struct {
	text     string
	number   uint64
	signed   int64
	yes      bool
	list     []string
	words    map[string]string
	raw      json.RawMessage
	position checkpoint.Position
	start    checkpoint.Start
}

func (m *mixed) fields() []field {
	return []field{
		{"text", &m.text}, {"number", &m.number}, {"signed", &m.signed}, {"yes", &m.yes}, {"list", &m.list}, {"words", &m.words}, {"raw", &m.raw},
		{"position", &m.position}, {"start", &m.start},
	}
}

// The codec reads and writes what encoding/json does.
func FuzzCodec(f *testing.F) {
	for _, text := range []string{
		`{}`, `null`, ` null `, `[]`, `1`, `"x"`, ``, `{`, `{"text":"a\u0041<>&\ud800","text":"b"}`, `{"number":18446744073709551615,"signed":-3,"yes":true}`,
		`{"number":1e3}`, `{"number":-1}`, `{"number":"1"}`, `{"number":null,"raw":null,"list":null,"words":null,"text":null}`, `{"yes":"true"}`,
		` { "list" : [ "a" , "b]\"" ] , "words":{"k":"v"} , "raw" : {"x":[1,2,{"y":"}"}]} , "new":[ ] , "":0 }`,
		`{"position":"49","start":"AT 2026-01-02T03:04:05Z"}`, `{"position":49}`, `{"start":"soon"}`, `{"te\u0078t":"x"}`, "{\"text\":\"\xff\"}", `{"number":01}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		row := Row{Key: "app/A", Version: 1, Value: text}
		var got, want mixed
		gotOthers, gotErr := decodeFields(row, got.fields())
		wantOthers, wantErr := referenceDecode(row, want.fields())
		if (gotErr == nil) != (wantErr == nil) {
			t.Fatalf("%q: %v, and by encoding/json %v", text, gotErr, wantErr)
		}
		if gotErr != nil {
			return
		}
		if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(gotOthers, wantOthers) {
			t.Fatalf("%q is read as\n%+v %q, and by encoding/json as\n%+v %q", text, got, gotOthers, want, wantOthers)
		}
		if got, want := encodeFields(got.fields(), gotOthers), referenceEncode(want.fields(), wantOthers); string(got) != string(want) {
			t.Fatalf("%q is written as\n%s, and by encoding/json as\n%s", text, got, want)
		}
	})
}

func BenchmarkSessionRow(b *testing.B) {
	r := sessionRow{HB: 12345, State: alive, Expiry: 10_000, Meta: json.RawMessage(`{"started":"2026-11-22T09:12:44Z","worker":"orders-1"}`)}
	row := Row{Key: "W/orders-1-d42eeee33664b8ceea56588673a0e940", Version: 9, Value: r.encode()}
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			if _, err := decodeSession(row); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("write", func(b *testing.B) {
		for b.Loop() {
			r.encode()
		}
	})
}

func BenchmarkShardRow(b *testing.B) {
	r := shardRow{
		ID: "shardId-000000000001", Owner: "orders-1-d42eeee33664b8ceea56588673a0e940", Epoch: 7, State: open, Parents: []string{"shardId-000000000000"},
		Position: checkpoint.Offset(49), Start: checkpoint.AtTime(time.Unix(1, 0)),
	}
	row := Row{Key: keys{"orders", "one"}.shard(r.ID), Version: 9, Value: r.encode()}
	for b.Loop() {
		if _, err := decodeShard(row); err != nil {
			b.Fatal(err)
		}
	}
}

func referenceDecode(row Row, fields []field) (unknown, error) {
	if row.Err != nil {
		return nil, row.Err
	}
	var all unknown
	if err := json.Unmarshal(row.Value, &all); err != nil {
		return nil, err
	}
	for _, f := range fields {
		raw, ok := all[f.name]
		if !ok {
			continue
		}
		if err := json.Unmarshal(raw, f.value); err != nil {
			return nil, fmt.Errorf("field %s: %w", f.name, err)
		}
		delete(all, f.name)
	}
	if len(all) == 0 {
		return nil, nil
	}
	return all, nil
}

// encodeFields writes JSON text with the fields in alphabetical order. It cannot fail for the values that rows have.
func referenceEncode(fields []field, others unknown) []byte {
	all := make(map[string]any, len(fields)+len(others))
	for name, raw := range others {
		all[name] = raw
	}
	for _, f := range fields {
		all[f.name] = f.value
	}
	text, err := json.Marshal(all)
	if err != nil {
		panic(fmt.Sprintf("lease: a row of plain values does not encode: %v", err))
	}
	return text
}
