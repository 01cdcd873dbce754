package ddblease

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/internal/backoff"
	"github.com/runnelhq/runnel/lease"
)

// last is the error of a listing.
func last(rows iter.Seq2[lease.Row, error]) (err error) {
	for _, err = range rows {
	}
	return err
}

// names are the keys of a listing up to its error.
func names(rows iter.Seq2[lease.Row, error]) (keys []string, err error) {
	for row, err := range rows {
		if err != nil {
			return keys, err
		}
		keys = append(keys, row.Key)
	}
	return keys, nil
}

// page is an answer of a Query; next is where the next page begins.
func page(next string, items ...string) reply {
	if next != "" {
		next = `,"LastEvaluatedKey":` + next
	}
	return reply{body: fmt.Sprintf(`{"Items":[%s]%s}`, strings.Join(items, ","), next)}
}

func TestAFullListingQueriesTheTableToItsEnd(t *testing.T) {
	next := `{"g":{"S":"a/"},"k":{"S":"2"}}`
	s, sent := storeOn(in(page(next, itemText("a/1", 1, "c", `1`), itemText("a/2", 2, "c", `2`)), page(next), page("", itemText("a/3", 3, "c", `3`))), nil)
	keys, err := names(s.List(t.Context(), "a/", ""))
	if err != nil || !slices.Equal(keys, []string{"a/1", "a/2", "a/3"}) {
		t.Fatalf("%q, %v; want three rows of three pages", keys, err)
	}
	sameJSON(t, "the first page", sent.requests[0].body, `{"TableName":"leases","KeyConditionExpression":"g = :g","ExpressionAttributeValues":{":g":{"S":"a/"}}}`)
	sameJSON(t, "the last page", sent.last().body,
		`{"TableName":"leases","KeyConditionExpression":"g = :g","ExpressionAttributeValues":{":g":{"S":"a/"}},"ExclusiveStartKey":`+next+`}`)
}

func TestAListingByCursorReadsTheRowsThatTheIndexHasSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the bubble's clock stands at 2000-01-01T00:00:00Z
		next := `{"g":{"S":"a/"},"c":{"S":"c"},"k":{"S":"1"}}`
		s, sent := storeOn(in(
			page(next, `{"k":{"S":"1"}}`, `{"k":{"S":"gone"}}`),
			page("", `{"k":{"S":"2"}}`, `{"k":{"S":"1"}}`), // 1 changed while the index was read
			reply{body: found(itemText("a/2", 2, "c2", `2`), itemText("a/1", 1, "c1", `1`))},
		), nil)
		keys, err := names(s.List(t.Context(), "a/", "1999-12-31T23:59:50.000000001Z-0badcafe"))
		if err != nil || !slices.Equal(keys, []string{"a/1", "a/2"}) {
			t.Fatalf("%q, %v; want two rows, each once, without the one that is gone", keys, err)
		}
		sameJSON(t, "the query", sent.requests[0].body, `{"TableName":"leases","IndexName":"changes","ProjectionExpression":"k",
			"KeyConditionExpression":"g = :g AND c > :c",
			"ExpressionAttributeValues":{":g":{"S":"a/"},":c":{"S":"1999-12-31T23:59:40.000000001Z"}}}`)
		if got, want := sent.ops(), []string{"Query", "Query", "BatchGetItem"}; !slices.Equal(got, want) {
			t.Fatalf("sent %v; want %v", got, want)
		}
		if !strings.Contains(sent.last().body, `"ConsistentRead":true`) {
			t.Errorf("the rows are read by %s; want consistently, so that the change is in them", sent.last().body)
		}
	})
}

func TestAListingByCursorWithoutChangesIsOneQuery(t *testing.T) {
	s, sent := storeOn(in(page("")), nil)
	keys, err := names(s.List(t.Context(), "a/", stamp()))
	if err != nil || len(keys) != 0 || !slices.Equal(sent.ops(), []string{"Query"}) {
		t.Fatalf("%q, %v, sent %v; want nothing by one query", keys, err, sent.ops())
	}
}

func TestAListingByACursorThatIsNoStampIsInFull(t *testing.T) {
	for _, after := range []string{"x", "00000000000000000001", strings.Repeat("z", 60), "2026-13-01T00:00:00.000000000Z-00000000"} {
		s, sent := storeOn(in(page("", itemText("a/1", 1, "c", `1`))), nil)
		keys, err := names(s.List(t.Context(), "a/", after))
		if err != nil || !slices.Equal(keys, []string{"a/1"}) || strings.Contains(sent.last().body, "IndexName") {
			t.Errorf("after %q: %q, %v, by %s; want a query of the table", after, keys, err, sent.last().body)
		}
	}
}

func TestAListingOfWhatIsNoGroupIsRefused(t *testing.T) {
	for _, group := range []string{"", "a", "a/b", "\xff/", strings.Repeat("a", 2048) + "/"} {
		s, sent := storeOn(in(page("")), nil)
		if err := last(s.List(t.Context(), group, "")); err == nil || len(sent.ops()) != 0 {
			t.Errorf("%.20q: %v, sent %v; want an error before any request", group, err, sent.ops())
		}
	}
}

func TestAnErrorIsTheLastOfAListing(t *testing.T) {
	next := `{"g":{"S":"a/"},"k":{"S":"1"}}`
	for name, c := range map[string]struct {
		after   string
		answers []reply
		rows    int
	}{
		"second page":       {"", []reply{page(next, itemText("a/1", 1, "c", `1`)), {code: "ValidationException"}}, 1},
		"index":             {stamp(), []reply{{code: "ValidationException"}}, 0},
		"rows of the index": {stamp(), []reply{page("", `{"k":{"S":"1"}}`), {code: "ValidationException"}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := storeOn(in(c.answers...), nil)
			rows, failed := 0, 0
			for _, err := range s.List(t.Context(), "a/", c.after) {
				switch {
				case err != nil:
					failed++
				case failed > 0:
					t.Errorf("a row comes after an error")
				default:
					rows++
				}
			}
			if rows != c.rows || failed != 1 {
				t.Errorf("%d rows and %d errors; want %d and one", rows, failed, c.rows)
			}
		})
	}
}

// Somebody's slip of the hand in one row must not stop an application.
func TestACorruptRowDoesNotEndAListing(t *testing.T) {
	corrupt := `{"g":{"S":"a/"},"k":{"S":"2"}}`
	for name, c := range map[string]struct {
		after   string
		answers []reply
	}{
		"in full":   {"", []reply{page("", itemText("a/1", 1, "c", `1`), corrupt, itemText("a/3", 1, "c", `1`))}},
		"by cursor": {stamp(), []reply{page("", `{"k":{"S":"1"}}`, `{"k":{"S":"2"}}`, `{"k":{"S":"3"}}`), {body: found(itemText("a/1", 1, "c", `1`), corrupt, itemText("a/3", 1, "c", `1`))}}},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := storeOn(in(c.answers...), nil)
			var sound, odd []string
			for row, err := range s.List(t.Context(), "a/", c.after) {
				switch {
				case err != nil:
					t.Fatal(err)
				case errors.Is(row.Err, lease.ErrRow):
					odd = append(odd, row.Key)
				default:
					sound = append(sound, row.Key)
				}
			}
			if !slices.Equal(sound, []string{"a/1", "a/3"}) || !slices.Equal(odd, []string{"a/2"}) {
				t.Errorf("sound %v, corrupt %v", sound, odd)
			}
		})
	}
}

func TestAListingThatIsLeftAsksForNoMorePages(t *testing.T) {
	s, sent := storeOn(in(page(`{"g":{"S":"a/"},"k":{"S":"1"}}`, itemText("a/1", 1, "c", `1`))), nil)
	for _, err := range s.List(t.Context(), "a/", "") {
		if err != nil {
			t.Fatal(err)
		}
		break
	}
	if got := sent.ops(); len(got) != 1 {
		t.Fatalf("sent %v; want one page", got)
	}
}

func TestStampsSortAsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stamps []string
		seen := map[string]bool{}
		for _, wait := range []time.Duration{1, 9, 90, time.Microsecond, time.Millisecond, time.Second, time.Hour, 1000 * time.Hour, 100000 * time.Hour} {
			if err := backoff.Wait(t.Context(), wait); err != nil {
				t.Fatal(err)
			}
			s := stamp()
			stamps = append(stamps, s)
			for range 10 {
				seen[stamp()] = true
			}
			if len(s) != len(stamps[0]) {
				t.Errorf("%q is not as wide as %q", s, stamps[0])
			}
		}
		if !slices.IsSorted(stamps) {
			t.Errorf("%q are not in the order of time", stamps)
		}
		if len(seen) != 10*len(stamps) {
			t.Errorf("%d different stamps of %d: stamps of one instant must differ", len(seen), 10*len(stamps))
		}
	})
}

func TestACursorReachesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the bubble's clock stands at 2000-01-01T00:00:00Z
		for after, want := range map[string]string{
			"1999-12-31T12:00:05.000000000Z-00000000": "1999-12-31T11:59:55.000000000Z",
			"2000-01-01T00:00:00.000000000Z-ffffffff": "1999-12-31T23:59:50.000000000Z",
			"2033-01-01T00:00:00.000000000Z-00000000": "1999-12-31T23:59:50.000000000Z", // by a clock that runs ahead
			"": "",
		} {
			if got := since(after); got != want {
				t.Errorf("since(%q) is %q; want %q", after, got, want)
			}
		}
	})
}
