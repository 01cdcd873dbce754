package filesource

import (
	"bytes"
	"encoding/json"
	"testing"
)

// reference finds the field by the standard library: the first of that name, in a line that is a JSON object.
func reference(line []byte, name string) (json.RawMessage, bool) {
	d := json.NewDecoder(bytes.NewReader(line))
	if token, err := d.Token(); err != nil || token != json.Delim('{') {
		return nil, false
	}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, false
		}
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return nil, false
		}
		if token == name {
			return value, true
		}
	}
	return nil, false
}

func FuzzField(f *testing.F) {
	for _, line := range []string{
		`{"k":"v"}`, ` { "a" : [ {"k":1}, "}" ] , "k" : {"x":"]"} } `, `{"k":12.5e3,"z":0}`, `{"\u006b":true}`, `{"k":"a\"b\\","k":2}`, `{"a":"\\","k":null}`,
		`{"k"`, `{"k":`, `{"k":}`, `{"k":,`, `{k:1}`, `[{"k":1}]`, `{"k":"\ud800"}`, `{"k":1 2}`, "{\"k\":\xff}", ``, `"k"`, `{"a":1,,"k":2}`, `{"k":"\x"}`,
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		value, ok := field(line, "k")
		key := []byte("before")
		if ok {
			key = appendKey(key, value)
			instant(value)
		}
		if !bytes.HasPrefix(key, []byte("before")) {
			t.Fatalf("the key of %q overwrote what was before it", line)
		}
		if !json.Valid(line) {
			return
		}
		want, there := reference(line, "k")
		if ok != there || !bytes.Equal(value, want) {
			t.Fatalf("the field of %q is %q, %t; want %q, %t", line, value, ok, want, there)
		}
		if !there {
			return
		}
		if got := string(key[len("before"):]); got != text(t, want) {
			t.Fatalf("the key of %q is %q, want %q", line, got, text(t, want))
		}
	})
}

// text is the key that a value gives.
func text(t *testing.T, value json.RawMessage) string {
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	switch v := v.(type) {
	case string:
		if bytes.IndexByte(value, '\\') < 0 {
			return string(value[1 : len(value)-1]) // as it is, also where it is no UTF-8
		}
		return v
	case json.Number, bool:
		return string(value)
	}
	return ""
}
