package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The endpoint gives each record once, no more than it was asked for, and is behind until the last.
func TestStub(t *testing.T) {
	l := load{API: kinesisAPI, Size: 10, Page: 4, Shards: 1, Calls: 3}
	s := &stub{load: l, records: l.encode()}
	iterator := place{whole, l.shard(0), 0}.String()
	var seen []string
	for _, want := range []struct {
		limit   string
		records int
		behind  bool
	}{{"", 4, true}, {`,"Limit":3`, 3, true}, {`,"Limit":9`, 4, true}, {"", 1, false}, {"", 0, false}} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(`{"ShardIterator":"`+iterator+`"`+want.limit+`}`))
		r.Header.Set("X-Amz-Target", "Kinesis_20131202.GetRecords")
		answer := httptest.NewRecorder()
		s.ServeHTTP(answer, r)
		var out struct {
			Records            []struct{ SequenceNumber string }
			NextShardIterator  string
			MillisBehindLatest int
		}
		if err := json.Unmarshal(answer.Body.Bytes(), &out); err != nil {
			t.Fatalf("%v: %s", err, answer.Body)
		}
		if len(out.Records) != want.records || (out.MillisBehindLatest > 0) != want.behind {
			t.Errorf("%d records, %d ms behind; want %+v", len(out.Records), out.MillisBehindLatest, want)
		}
		for _, rec := range out.Records {
			seen = append(seen, rec.SequenceNumber)
		}
		iterator = out.NextShardIterator
	}
	for i, seq := range seen {
		if i > 0 && seq <= seen[i-1] {
			t.Errorf("%s comes after %s", seq, seen[i-1])
		}
	}
	if len(seen) != l.perShard(whole) || s.calls.Load() != 5 {
		t.Errorf("%d records in %d calls", len(seen), s.calls.Load())
	}
}
