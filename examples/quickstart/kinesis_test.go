package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// stub answers PutRecords, and refuses every third record the first time that it sees it.
type stub struct {
	taken   []int // N of the votes
	refused map[int]bool
}

func (s *stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct{ Records []struct{ Data []byte } }
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || !strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".PutRecords") {
		http.Error(w, fmt.Sprint(r.Header, err), http.StatusBadRequest)
		return
	}
	var out struct {
		FailedRecordCount int
		Records           []map[string]string
	}
	for _, record := range in.Records {
		var v vote
		if err := json.Unmarshal(record.Data, &v); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if v.N%3 == 0 && !s.refused[v.N] {
			s.refused[v.N] = true
			out.FailedRecordCount++
			out.Records = append(out.Records, map[string]string{"ErrorCode": "ProvisionedThroughputExceededException"})
			continue
		}
		s.taken = append(s.taken, v.N)
		out.Records = append(out.Records, map[string]string{"SequenceNumber": "1", "ShardId": "shardId-000000000000"})
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if err := json.NewEncoder(w).Encode(out); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// What Kinesis refuses is put again, and nothing else is.
func TestKinesisPutsRefusedRecordsAgain(t *testing.T) {
	s := newScene(t, 250)
	answers := &stub{refused: make(map[int]bool)}
	server := httptest.NewServer(answers)
	defer server.Close()
	defer server.CloseClientConnections()
	k := newKinesisBox(aws.Config{
		Region: "us-east-1", BaseEndpoint: &server.URL, HTTPClient: server.Client(),
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	}, options{kinesis: "votes"}, s.run.db)
	if _, err := s.run.db.ExecContext(t.Context(), `INSERT INTO boxes (name, incarnation) VALUES (?, 'one')`, k.name()); err != nil {
		t.Fatal(err)
	}
	p := &producer{election: s.run.election, boxes: []box{k}}
	if err := p.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	slices.Sort(answers.taken)
	for n := range 250 {
		if n >= len(answers.taken) || answers.taken[n] != n {
			t.Fatalf("%d votes of 250 were taken, and the first that is missing or there twice is %d", len(answers.taken), n)
		}
	}

	// All are noted: a second producer has nothing to do.
	answers.taken = nil
	again := &producer{election: s.run.election, boxes: []box{k}}
	if err := again.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(answers.taken) != 0 || again.put.Load() != 250 {
		t.Errorf("%d votes were put again; %d are said to be there, want 250", len(answers.taken), again.put.Load())
	}
}
