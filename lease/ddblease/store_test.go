package ddblease

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/runnelhq/runnel/lease"
)

func row(version uint64) lease.Row {
	return lease.Row{Key: "app/S/i/shard", Version: version, Cursor: "kept", Value: []byte(`{"owner":"é"}`)}
}

func TestAWriteIsOneConditionalRequest(t *testing.T) {
	const key = `"g":{"S":"app/S/i/"},"k":{"S":"shard"}`
	for name, c := range map[string]struct {
		write func(*Store) []error
		want  string
	}{
		"create": {func(s *Store) []error { return s.Put(t.Context(), []lease.Row{row(0)}) }, `{"TableName":"leases",
			"Item":{` + key + `,"v":{"N":"1"},"c":{"S":"kept"},"b":{"S":"{\"owner\":\"é\"}"}},
			"ConditionExpression":"attribute_not_exists(g)", "ReturnValuesOnConditionCheckFailure":"ALL_OLD"}`},
		"update": {func(s *Store) []error { return s.Put(t.Context(), []lease.Row{row(7)}) }, `{"TableName":"leases",
			"Item":{` + key + `,"v":{"N":"8"},"c":{"S":"kept"},"b":{"S":"{\"owner\":\"é\"}"}},
			"ConditionExpression":"v = :v", "ExpressionAttributeValues":{":v":{"N":"7"}}, "ReturnValuesOnConditionCheckFailure":"ALL_OLD"}`},
		"update of the highest version": {func(s *Store) []error { return s.Put(t.Context(), []lease.Row{row(math.MaxUint64 - 1)}) }, `{"TableName":"leases",
			"Item":{` + key + `,"v":{"N":"18446744073709551615"},"c":{"S":"kept"},"b":{"S":"{\"owner\":\"é\"}"}},
			"ConditionExpression":"v = :v", "ExpressionAttributeValues":{":v":{"N":"18446744073709551614"}}, "ReturnValuesOnConditionCheckFailure":"ALL_OLD"}`},
		"delete": {func(s *Store) []error { return s.Delete(t.Context(), []lease.Row{row(7)}) }, `{"TableName":"leases",
			"Key":{` + key + `},
			"ConditionExpression":"v = :v", "ExpressionAttributeValues":{":v":{"N":"7"}}, "ReturnValuesOnConditionCheckFailure":"ALL_OLD"}`},
		"delete of nothing": {func(s *Store) []error { return s.Delete(t.Context(), []lease.Row{row(0)}) }, `{"TableName":"leases",
			"Key":{` + key + `},
			"ConditionExpression":"attribute_not_exists(g)", "ReturnValuesOnConditionCheckFailure":"ALL_OLD"}`},
	} {
		t.Run(name, func(t *testing.T) {
			s, sent := storeOn(in(reply{}), nil)
			if errs := c.write(s); errs != nil {
				t.Fatal(errs)
			}
			if got := len(sent.ops()); got != 1 {
				t.Fatalf("sent %v; want one request", sent.ops())
			}
			sameJSON(t, name, sent.last().body, c.want)
		})
	}
}

func TestAWriteWithoutACursorIsStampedWithTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the bubble's clock stands at 2000-01-01T00:00:00Z
		s, sent := storeOn(in(reply{}), nil)
		changed := row(7)
		changed.Cursor = ""
		if errs := s.Put(t.Context(), []lease.Row{changed}); errs != nil {
			t.Fatal(errs)
		}
		if body := sent.last().body; !strings.Contains(body, `"c":{"S":"2000-01-01T00:00:00.000000000Z-`) {
			t.Fatalf("sent %s; want the instant for a cursor", body)
		}
	})
}

func TestAConflictNamesKeyAndVersions(t *testing.T) {
	for name, c := range map[string]struct {
		body, want string
	}{
		"another version": {`{"message":"The conditional request failed","Item":` + itemText("app/S/i/shard", 9, "c", `{}`) + `}`, "it has version 9"},
		"no row":          {`{"message":"The conditional request failed"}`, "it does not exist"},
		"a corrupt row":   {`{"message":"The conditional request failed","Item":{"g":{"S":"app/S/i/"},"k":{"S":"shard"}}}`, "its item is corrupt"},
	} {
		t.Run(name, func(t *testing.T) {
			s, sent := storeOn(in(reply{code: "ConditionalCheckFailedException", body: c.body}), nil)
			for what, errs := range map[string][]error{"write": s.Put(t.Context(), []lease.Row{row(7)}), "delete": s.Delete(t.Context(), []lease.Row{row(7)})} {
				if len(errs) != 1 || !errors.Is(errs[0], lease.ErrConflict) {
					t.Fatalf("%s: %v; want lease.ErrConflict", what, errs)
				}
				for _, want := range []string{`table "leases"`, what + ` "app/S/i/shard" at version 7`, c.want} {
					if !strings.Contains(errs[0].Error(), want) {
						t.Errorf("%v; want it to say %q", errs[0], want)
					}
				}
			}
			if got := len(sent.ops()); got != 2 {
				t.Errorf("sent %v; want no retry of a conflict", sent.ops())
			}
		})
	}
}

// Hazard 17: the write was applied, its answer was lost, and the client's retry meets its own version. Its cursor is one that others write too: to say more than ErrConflict would be
// to assume, and the caller reads the row.
func TestHazard17ALostAnswerIsAConflictAfterTheRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, sent := storeOn(in(
			reply{lost: io.ErrUnexpectedEOF},
			reply{code: "ConditionalCheckFailedException", body: `{"message":"The conditional request failed","Item":` + itemText("app/S/i/shard", 8, "kept", `{"owner":"é"}`) + `}`},
		), nil)
		errs := s.Put(t.Context(), []lease.Row{row(7)})
		if len(errs) != 1 || !errors.Is(errs[0], lease.ErrConflict) || !strings.Contains(errs[0].Error(), "it has version 8") {
			t.Fatalf("%v; want lease.ErrConflict and the version that the lost write made", errs)
		}
		if got := sent.ops(); len(got) != 2 || sent.requests[0].body != sent.requests[1].body {
			t.Fatalf("sent %v; want the same request twice", got)
		}
	})
}

// The stamp of a write is its own. Whoever meets it again has met the first sending of the same request.
func TestHazard17AStampedWriteRecognisesItself(t *testing.T) {
	for name, c := range map[string]struct {
		change func(item map[string]any)
		want   error
	}{
		"itself":             {func(map[string]any) {}, nil},
		"another's stamp":    {func(item map[string]any) { item["c"] = map[string]any{"S": stamp()} }, lease.ErrConflict},
		"another's value":    {func(item map[string]any) { item["b"] = map[string]any{"S": `{}`} }, lease.ErrConflict},
		"a later version":    {func(item map[string]any) { item["v"] = map[string]any{"N": "9"} }, lease.ErrConflict},
		"a further addition": {func(item map[string]any) { item["x"] = map[string]any{"S": "x"} }, lease.ErrConflict},
		"no item":            {func(item map[string]any) { clear(item) }, lease.ErrConflict},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sent := 0
				s, _ := storeOn(func(r request) reply {
					if sent++; sent == 1 {
						return reply{lost: io.ErrUnexpectedEOF}
					}
					item := r.in["Item"].(map[string]any)
					c.change(item)
					body, err := json.Marshal(map[string]any{"message": "The conditional request failed", "Item": item})
					if err != nil {
						t.Error(err)
					}
					return reply{code: "ConditionalCheckFailedException", body: string(body)}
				}, nil)
				stamped := row(7)
				stamped.Cursor = ""
				if err := errors.Join(s.Put(t.Context(), []lease.Row{stamped})...); !errors.Is(err, c.want) {
					t.Errorf("%v; want %v", err, c.want)
				}
			})
		})
	}
}

func TestAnAnswerThatStaysLostIsNoConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := storeOn(in(reply{lost: io.ErrUnexpectedEOF}), nil)
		errs := s.Put(t.Context(), []lease.Row{row(7)})
		if len(errs) != 1 || errs[0] == nil || errors.Is(errs[0], lease.ErrConflict) || !errors.Is(errs[0], io.ErrUnexpectedEOF) {
			t.Fatalf("%v; want the error of the connection, which says nothing of the row", errs)
		}
	})
}

func TestWritesAreSixteenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		gate := make(chan struct{})
		s, _ := storeOn(func(request) reply {
			most.Store(max(most.Load(), now.Add(1)))
			<-gate
			now.Add(-1)
			return reply{}
		}, nil)
		rows := make([]lease.Row, 60)
		for i := range rows {
			rows[i] = lease.Row{Key: fmt.Sprintf("a/%d", i), Value: []byte(`{}`)}
		}
		done := make(chan []error, 1)
		go func() { done <- s.Put(t.Context(), rows) }()
		synctest.Wait()
		if got := now.Load(); got != 16 {
			t.Errorf("%d requests under way; want 16", got)
		}
		close(gate)
		if errs := <-done; errs != nil {
			t.Fatal(errs)
		}
		if got := most.Load(); got > 16 {
			t.Errorf("up to %d requests at once; want 16", got)
		}
	})
}

func TestEachRowHasItsOwnError(t *testing.T) {
	s, _ := storeOn(func(r request) reply {
		switch body := r.body; {
		case strings.Contains(body, "conflict"):
			return reply{code: "ConditionalCheckFailedException"}
		case strings.Contains(body, "invalid"):
			return reply{code: "ValidationException"}
		}
		return reply{}
	}, nil)
	rows := []lease.Row{{Key: "a/fine"}, {Key: "a/conflict"}, {Key: "a/invalid"}, {Key: "badly named"}, {Key: "a/also-fine"}}
	errs := s.Put(t.Context(), rows)
	if len(errs) != 5 || errs[0] != nil || errs[4] != nil {
		t.Fatalf("%v; want the first and the last written", errs)
	}
	if !errors.Is(errs[1], lease.ErrConflict) || errs[2] == nil || errors.Is(errs[2], lease.ErrConflict) || errs[3] == nil || errors.Is(errs[3], lease.ErrConflict) {
		t.Fatalf("%v; want a conflict and two other errors", errs)
	}
	for i, key := range []string{1: "a/conflict", 2: "a/invalid", 3: "badly named"} {
		if key != "" && !strings.Contains(errs[i].Error(), fmt.Sprintf("%q", key)) {
			t.Errorf("%v; want it to name %q", errs[i], key)
		}
	}
}

func TestARowThatDynamoDBCannotHoldIsRefused(t *testing.T) {
	fits := maxItem - len("gkvcb") - len("a/row") - len("kept") - numberSize
	for name, c := range map[string]struct {
		row  lease.Row
		want string
	}{
		"no group":        {lease.Row{Key: "row"}, "a group that ends in a slash"},
		"no name":         {lease.Row{Key: "a/"}, "a group that ends in a slash"},
		"no key":          {lease.Row{}, "a group that ends in a slash"},
		"long group":      {lease.Row{Key: strings.Repeat("a", 2048) + "/row"}, "DynamoDB takes 2048 and 1024"},
		"long name":       {lease.Row{Key: "a/" + strings.Repeat("a", 1025)}, "DynamoDB takes 2048 and 1024"},
		"key not UTF-8":   {lease.Row{Key: "a/\xff"}, "a key is UTF-8"},
		"value too large": {lease.Row{Key: "a/row", Cursor: "kept", Value: make([]byte, fits+1)}, "DynamoDB takes 409600"},
		"value not UTF-8": {lease.Row{Key: "a/row", Value: []byte("\"\xff\"")}, "not UTF-8"},
		"versions used":   {lease.Row{Key: "a/row", Version: math.MaxUint64}, "versions are used up"},
	} {
		t.Run(name, func(t *testing.T) {
			s, sent := storeOn(in(reply{}), nil)
			errs := s.Put(t.Context(), []lease.Row{c.row})
			if len(errs) != 1 || errs[0] == nil || !strings.Contains(errs[0].Error(), c.want) || !strings.Contains(errs[0].Error(), fmt.Sprintf("%q", c.row.Key)) {
				t.Fatalf("%.300v; want one error that says %q and names the key", errs, c.want)
			}
			if got := sent.ops(); len(got) != 0 {
				t.Fatalf("sent %v", got)
			}
		})
	}
	s, _ := storeOn(in(reply{}), nil)
	if errs := s.Put(t.Context(), []lease.Row{{Key: "a/row", Cursor: "kept", Value: make([]byte, fits)}}); errs != nil {
		t.Fatalf("%v; want the largest value written", errs)
	}
}

func TestTheStoreCopiesItsConfig(t *testing.T) {
	cfg := Config{MustExist: true}
	s, _ := storeOn(in(missing), &cfg)
	cfg.MustExist = false
	if err := s.Setup(t.Context()); err == nil {
		t.Fatal("Setup made a table that must exist")
	}
}
