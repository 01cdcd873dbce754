package lease

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/runnelhq/runnel/checkpoint"
)

func drawnPosition(t *rapid.T) checkpoint.Position {
	switch rapid.IntRange(0, 3).Draw(t, "kind of position") {
	case 0:
		return checkpoint.Position{}
	case 1:
		return checkpoint.End()
	case 2:
		return checkpoint.Offset(rapid.Uint64().Draw(t, "offset"))
	}
	p, err := checkpoint.Aggregated(rapid.StringMatching(`[0-9]{1,60}`).Draw(t, "sequence"), rapid.Uint32Min(1).Draw(t, "sub"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func drawnShard(t *rapid.T) shardRow {
	text := rapid.StringN(0, 12, -1)
	r := shardRow{
		Epoch: rapid.Uint64Range(1, maxEpoch).Draw(t, "epoch"), Generation: rapid.Uint64().Draw(t, "generation"),
		Position: drawnPosition(t), State: rapid.SampledFrom([]string{open, ended}).Draw(t, "state"),
		Next: text.Draw(t, "next"), Parents: rapid.SliceOfN(text, 0, 2).Draw(t, "parents"),
		Children: rapid.SliceOfN(text, 0, 2).Draw(t, "children"), Closed: rapid.Bool().Draw(t, "closed"), Meta: text.Draw(t, "meta"),
	}
	r.Ahead = checkpoint.NewAhead(r.Position, slices.Values(rapid.SliceOfN(rapid.IntRange(0, 99), 0, 9).Draw(t, "ahead")))
	if rapid.Bool().Draw(t, "instant") {
		r.Start = checkpoint.AtTime(time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "at"), 0))
	}
	if r.State == open {
		r.Owner = text.Draw(t, "owner")
	}
	if rapid.Bool().Draw(t, "request") {
		r.Request = json.RawMessage(`{"reset":"TRIM_HORIZON"}`)
	}
	r.ID = text.Draw(t, "id")
	r.head = head{keys{"app", "stream"}.shard(r.ID), rapid.Uint64().Draw(t, "version"), "cursor"}
	return r
}

func TestShardRowsAreReadAsTheyWereWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawnShard(t)
		got, err := decodeShard(r.quietly(r.encode()))
		if err != nil {
			t.Fatalf("%s: %v", r.encode(), err)
		}
		if !reflect.DeepEqual(got, r) {
			t.Fatalf("%s:\nread %+v\nwant %+v", r.encode(), got, r)
		}
	})
}

func TestFieldsOfANewerVersionSurviveARewrite(t *testing.T) {
	const newer = `,"weight":12345678901234567890,"shape":{"b":[1,2],"a":null}}`
	extended := func(text []byte) Row {
		return Row{Key: "app/S/x/shard", Version: 3, Value: []byte(strings.TrimSuffix(string(text), "}") + newer)}
	}
	for name, rewrite := range map[string]func() ([]byte, error){
		"shard": func() ([]byte, error) {
			r, err := decodeShard(extended((&shardRow{State: open, Epoch: 1}).encode()))
			r.Owner = "me"
			return r.encode(), err
		},
		"session": func() ([]byte, error) {
			r, err := decodeSession(extended((&sessionRow{HB: 1, State: alive}).encode()))
			r.HB++
			return r.encode(), err
		},
		"member": func() ([]byte, error) {
			r, err := decodeMember(extended((&memberRow{Worker: "w"}).encode()))
			r.Drain = true
			return r.encode(), err
		},
		"application": func() ([]byte, error) {
			r, err := decodeApp(extended((&appRow{Stream: "s"}).encode()))
			r.Claims++
			return r.encode(), err
		},
	} {
		text, err := rewrite()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, want := range []string{`"weight":12345678901234567890`, `"shape":{"b":[1,2],"a":null}`} {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s: rewritten without %s: %s", name, want, text)
			}
		}
	}
}

func TestNobodyIsAnEmptyOwnerAndNotAnAbsentOne(t *testing.T) {
	if text := string((&shardRow{State: open}).encode()); !strings.Contains(text, `"owner":""`) {
		t.Error(text)
	}
}

func TestCorruptRowsAreNamed(t *testing.T) {
	for text, decode := range map[string]func(Row) error{
		``:                            shardError,
		`{`:                           shardError,
		`null`:                        shardError,
		`{}`:                          shardError,
		`[]`:                          shardError,
		`{"state":"gone"}`:            shardError,
		`{"state":"open","epoch":-1}`: shardError,
		`{"state":"open","epoch":18446744073709551615}`: shardError,
		`{"state":"open","owner":"a"}`:                  shardError,
		`{"state":"ended","owner":"a","epoch":1}`:       shardError,
		`{"state":"open","position":"12x"}`:             shardError,
		`{"state":"open","ahead":"10/x"}`:               shardError,
		`{"state":"open","start":"LATEST"}`:             shardError,
		`{"state":"open","start":"soon"}`:               shardError,
		`{"state":"A"}`:                                 sessionError,
		`{"state":"X","hb":1}`:                          sessionError,
		`{"state":"A","hb":"1"}`:                        sessionError,
		`{"stuck":"a"}`:                                 memberError,
		`{"byWeight":1}`:                                memberError,
		`{"incarnation":"x"}`:                           appError,
		`{"stream":"x","reset":7}`:                      appError,
		`{"stream":"x","floor":9223372036854775807}`:    appError,
		`{"stream":"x","start":"AT noon"}`:              appError,
	} {
		err := decode(Row{Key: "app/S/x/shard-7", Version: 1, Value: []byte(text)})
		if !errors.Is(err, ErrRow) || !strings.Contains(err.Error(), "app/S/x/shard-7") {
			t.Errorf("%s: %v, want an error that wraps ErrRow and names the row", text, err)
		}
	}
	if err := shardError(Row{Key: "app/S/x/%zz", Version: 1, Value: (&shardRow{State: open}).encode()}); !errors.Is(err, ErrRow) {
		t.Errorf("a key that does not decode: %v", err)
	}
}

func shardError(r Row) error   { _, err := decodeShard(r); return err }
func sessionError(r Row) error { _, err := decodeSession(r); return err }
func memberError(r Row) error  { _, err := decodeMember(r); return err }
func appError(r Row) error     { _, err := decodeApp(r); return err }

func FuzzShardRow(f *testing.F) {
	f.Add([]byte(`{"owner":"a-1","epoch":7,"position":"49","state":"open","parents":["p"],"start":"AT 2026-01-02T03:04:05Z","request":{"a":1},"new":[]}`))
	f.Add([]byte(`{"state":"ended"}`))
	f.Add([]byte(`{"state":"open","position":"49","ahead":"50/bJg"}`))
	f.Add([]byte(`{"state":"open","state":"ended","STATE":"x"}`))
	fuzzRow(f, decodeShard, (*shardRow).encode)
}

func FuzzSessionRow(f *testing.F) {
	f.Add([]byte(`{"hb":1,"state":"A","draining":false,"metadata":{"worker":"w"},"new":1e400}`))
	fuzzRow(f, decodeSession, (*sessionRow).encode)
}

func FuzzMemberRow(f *testing.F) {
	f.Add([]byte(`{"worker":"w","zone":"eu-west-1a","byWeight":true,"stuck":["a","b"],"drain":true,"new":{}}`))
	f.Add([]byte(`{"stuck":null}`))
	fuzzRow(f, decodeMember, (*memberRow).encode)
}

func FuzzApplicationRow(f *testing.F) {
	f.Add([]byte(`{"stream":"s","incarnation":"i","generation":1,"floor":2,"start":"LATEST","paused":true,"lister":"l","claims":3,"listed":true,"history":"h","reset":{"generation":2,"start":"AT 2026-01-02T03:04:05Z","shards":["a"]}}`))
	fuzzRow(f, decodeApp, (*appRow).encode)
}

// fuzzRow holds a codec to this: it never panics, what it reads it writes so that it reads the same again, and it keeps what it does not know.
func fuzzRow[T any](f *testing.F, decode func(Row) (T, error), encode func(*T) []byte) {
	f.Helper()
	f.Fuzz(func(t *testing.T, text []byte) {
		row := Row{Key: "app/S/stream/shard", Version: 1, Value: text}
		r, err := decode(row)
		if err != nil {
			if !errors.Is(err, ErrRow) {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		row.Value = encode(&r)
		again, err := decode(row)
		if err != nil {
			t.Fatalf("%q was written as %q, which is not read: %v", text, row.Value, err)
		}
		if second := encode(&again); string(second) != string(row.Value) {
			t.Fatalf("%q was written as %q and then as %q", text, row.Value, second)
		}
		var before, after map[string]json.RawMessage
		if json.Unmarshal(text, &before) != nil || json.Unmarshal(row.Value, &after) != nil {
			t.Fatalf("%q or %q is no JSON object", text, row.Value)
		}
		for name := range before {
			if _, kept := after[name]; !kept && name != "ahead" { // which may have been empty
				t.Fatalf("%q lost its field %q: %q", text, name, row.Value)
			}
		}
	})
}

// What a store cannot read is as corrupt as what this package cannot.
func TestARowThatItsStoreCannotReadIsCorrupt(t *testing.T) {
	why := errors.New("why")
	for _, key := range []string{"app/S/i/shard", "app/A", "W/session"} {
		row := Row{Key: key, Version: 1, Err: why}
		_, shard := decodeShard(row)
		_, app := decodeApp(row)
		_, session := decodeSession(row)
		for _, err := range []error{app, session} {
			if !errors.Is(err, ErrRow) || !errors.Is(err, why) {
				t.Errorf("%s: %v; want ErrRow and the reason", key, err)
			}
		}
		if !errors.Is(shard, ErrRow) {
			t.Errorf("%s: %v; want ErrRow", key, shard)
		}
	}
}
