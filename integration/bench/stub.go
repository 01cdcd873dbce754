package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// callsPath is where the endpoint tells how many calls of GetRecords it has answered.
const callsPath = "/calls"

// stub is an endpoint of Kinesis or of DynamoDB Streams whose answers are encoded before they are asked for. Every shard has the same records, and stays
// open after them.
type stub struct {
	load    load
	records *encoded
	calls   atomic.Int64 // of GetRecords
}

// serve runs the endpoint on loopback and writes its URL, until ctx ends.
func serve(ctx context.Context, l load) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: &stub{load: l, records: l.encode()}, ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	if _, err := fmt.Println("http://" + listener.Addr().String()); err != nil {
		return errors.Join(err, server.Close())
	}
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
		err := server.Close()
		if e := <-served; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
		return err
	}
}

// asked are the fields of the requests that matter here.
type asked struct {
	StreamName, StreamArn, StreamARN string
	ShardID                          string `json:"ShardId"`
	ShardIterator                    string
	ShardIteratorType                string
	Limit                            int
}

func (in asked) stream() string {
	if in.StreamName != "" {
		return in.StreamName
	}
	return streamOf(in.StreamARN + in.StreamArn)
}

// arn is the stream as answers name it: that of Kinesis, and of a table of the name.
func (l load) arn(stream string) string {
	if l.API == streamsAPI {
		return "arn:aws:dynamodb:us-east-1:000000000000:table/" + stream + "/stream/2026-11-22T10:00:00.000"
	}
	return "arn:aws:kinesis:us-east-1:000000000000:stream/" + stream
}

func streamOf(arn string) string {
	_, path, _ := strings.Cut(arn, "/")
	name, _, _ := strings.Cut(path, "/")
	return name
}

func (s *stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == callsPath {
		_, _ = fmt.Fprint(w, s.calls.Load())
		return
	}
	body, err := io.ReadAll(r.Body)
	var in asked
	if err == nil {
		err = json.Unmarshal(body, &in)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if op == "GetRecords" {
		s.getRecords(w, in)
		return
	}
	out, err := s.answer(op, in)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	text, err := json.Marshal(out)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(text)
}

type object map[string]any

func (s *stub) answer(op string, in asked) (object, error) {
	arn := s.load.arn(in.stream())
	switch op {
	case "ListStreams", "ListTables":
		return object{}, nil
	case "DescribeStreamSummary":
		return object{"StreamDescriptionSummary": object{
			"StreamName": in.stream(), "StreamARN": arn, "StreamStatus": "ACTIVE", "StreamCreationTimestamp": s.records.begin,
			"RetentionPeriodHours": 24, "OpenShardCount": 0, "EnhancedMonitoring": []any{},
		}}, nil
	case "ListShards":
		return object{"Shards": s.shards()}, nil
	case "DescribeStream":
		return object{"StreamDescription": object{"StreamArn": arn, "StreamStatus": "ENABLED", "Shards": s.shards()}}, nil
	case "GetShardIterator":
		if in.ShardIteratorType != "TRIM_HORIZON" {
			return nil, fmt.Errorf("the bench's endpoint has no %s", in.ShardIteratorType)
		}
		return object{"ShardIterator": place{in.stream(), in.ShardID, 0}.String()}, nil
	}
	return nil, fmt.Errorf("the bench's endpoint has no %s", op)
}

func (s *stub) shards() []object {
	all := make([]object, s.load.Shards)
	for i := range all {
		all[i] = object{
			"ShardId":             s.load.shard(i),
			"HashKeyRange":        object{"StartingHashKey": "0", "EndingHashKey": "1"},
			"SequenceNumberRange": object{"StartingSequenceNumber": "1"},
		}
	}
	return all
}

// place is what an iterator says.
type place struct {
	stream, shard string
	next          int // record
}

func (p place) String() string { return p.stream + "/" + p.shard + "/" + strconv.Itoa(p.next) }

func parsePlace(iterator string) (p place, err error) {
	parts := strings.Split(iterator, "/")
	if len(parts) != 3 {
		return p, fmt.Errorf("the bench's endpoint gave no iterator %q", iterator)
	}
	p.stream, p.shard = parts[0], parts[1]
	p.next, err = strconv.Atoi(parts[2])
	return p, err
}

// getRecords writes slices of what is encoded.
func (s *stub) getRecords(w http.ResponseWriter, in asked) {
	p, err := parsePlace(in.ShardIterator)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.calls.Add(1)
	limit := s.load.Page
	if in.Limit > 0 {
		limit = min(limit, in.Limit)
	}
	end := s.load.perShard(p.stream)
	to := min(p.next+limit, end)
	records := s.records.of(p.next, to)
	tail := `],"NextShardIterator":"` + place{p.stream, p.shard, to}.String() + `"`
	if s.load.API == kinesisAPI {
		tail += `,"MillisBehindLatest":` + strconv.Itoa(end-to)
	}
	tail += `}`
	const head = `{"Records":[`
	w.Header().Set("Content-Length", strconv.Itoa(len(head)+len(records)+len(tail)))
	_, _ = io.WriteString(w, head)
	_, _ = w.Write(records)
	_, _ = io.WriteString(w, tail)
}
