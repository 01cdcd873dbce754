package ddblease

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestKeysLeftUnprocessedAreAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := func(items string, names ...string) reply {
			var keys []string
			for _, name := range names {
				keys = append(keys, fmt.Sprintf(`{"g":{"S":"a/"},"k":{"S":%q}}`, name))
			}
			return reply{body: fmt.Sprintf(`{"Responses":{"leases":[%s]},"UnprocessedKeys":{"leases":{"ConsistentRead":true,"Keys":[%s]}}}`, items, strings.Join(keys, ","))}
		}
		s, sent := storeOn(in(
			left(itemText("a/2", 5, "c", `2`), "1", "3"),
			left("", "1", "3"),
			left("", "1", "3"),
			left(itemText("a/3", 6, "c", `3`), "1"),
			reply{body: found(itemText("a/1", 4, "c", `1`))},
		), nil)
		begun := time.Now()
		rows, err := s.Get(t.Context(), []string{"a/1", "a/2", "a/3"})
		if err != nil {
			t.Fatal(err)
		}
		var versions []uint64
		for _, row := range rows {
			versions = append(versions, row.Version)
		}
		if !slices.Equal(versions, []uint64{4, 5, 6}) {
			t.Fatalf("versions %v; want 4, 5 and 6", versions)
		}
		if len(sent.ops()) != 5 || time.Since(begun) == 0 {
			t.Fatalf("sent %v in %v; want five requests, and waits where none made headway", sent.ops(), time.Since(begun))
		}
		sameJSON(t, "the last request", sent.last().body, `{"RequestItems":{"leases":{"ConsistentRead":true,"Keys":[{"g":{"S":"a/"},"k":{"S":"1"}}]}}}`)
	})
}

// An answer that ends at 16 MB leaves keys unprocessed too, and is no reason to wait.
func TestKeysLeftUnprocessedByALargeAnswerAreAskedForAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := reply{body: `{"Responses":{"leases":[` + itemText("a/1", 1, "c", `1`) + `]},"UnprocessedKeys":{"leases":{"Keys":[{"g":{"S":"a/"},"k":{"S":"2"}}]}}}`}
		s, _ := storeOn(in(left, left, left, left, left, reply{body: found(itemText("a/2", 2, "c", `2`))}), nil)
		begun := time.Now()
		rows, err := s.Get(t.Context(), []string{"a/1", "a/2"})
		if err != nil || rows[1].Version != 2 {
			t.Fatalf("%+v, %v", rows, err)
		}
		if took := time.Since(begun); took != 0 {
			t.Fatalf("took %v; want no wait", took)
		}
	})
}

func TestGetAsksAHundredDifferentKeysAtOnce(t *testing.T) {
	var most, total atomic.Int64
	s, _ := storeOn(func(r request) reply {
		keys := r.in["RequestItems"].(map[string]any)[table].(map[string]any)["Keys"].([]any)
		seen := map[string]bool{}
		for _, key := range keys {
			text := fmt.Sprint(key)
			if seen[text] {
				t.Errorf("%s is asked for twice in one request", text)
			}
			seen[text] = true
		}
		total.Add(int64(len(keys)))
		most.Store(max(most.Load(), int64(len(keys))))
		return reply{}
	}, nil)
	var keys []string
	for i := range 250 {
		keys = append(keys, fmt.Sprintf("a/%d", i), fmt.Sprintf("a/%d", i/2))
	}
	rows, err := s.Get(t.Context(), keys)
	if err != nil || len(rows) != len(keys) {
		t.Fatalf("%d rows, %v; want %d", len(rows), err, len(keys))
	}
	if most.Load() > 100 || total.Load() != 250 {
		t.Fatalf("up to %d keys a request, %d in all; want 100 and 250", most.Load(), total.Load())
	}
}
