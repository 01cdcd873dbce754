package kinesissource_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/runnelhq/runnel/consumer/kinesissource"
	"github.com/runnelhq/runnel/internal/awsstub"
)

const arn = "arn:aws:kinesis:us-east-1:123456789012:stream/orders"

// fake is one stream, kept in memory and in the clock of the test.
type fake struct {
	*awsstub.Service

	mu      sync.Mutex
	created time.Time
	status  string // "": deleted
	mode    string // the distribution of records
	shards  []*fakeShard
	page    int // shards a page of ListShards; 0: all
	opened  int // iterators given out
	expire  int // iterators up to this one have expired
	faults  map[string][]awsstub.Answer
	mute    bool // the end of a shard does not name its children
	behind  int64
	lookFor bool // GetShardIterator looks for the record, as some endpoints do
}

type fakeShard struct {
	id, parent, adjacent string
	closed               bool
	children             []string
	records              []fakeRecord
}

type fakeRecord struct {
	seq, key string
	data     []byte
	arrived  time.Time
}

func newFake(shards ...*fakeShard) *fake {
	f := &fake{created: time.Now().Add(-time.Hour), status: "ACTIVE", shards: shards, faults: map[string][]awsstub.Answer{}}
	f.Service = &awsstub.Service{Answer: f.answer}
	return f
}

func shardID(n int) string { return fmt.Sprintf("shardId-%012d", n) }

// seq is a sequence number of 56 digits.
func seq(n int) string { return fmt.Sprintf("49%054d", n) }

// holding is a shard with records 1 to n.
func holding(id string, n int) *fakeShard {
	s := &fakeShard{id: id}
	for i := 1; i <= n; i++ {
		s.put(i, 1)
	}
	return s
}

func (s *fakeShard) put(n, bytes int) {
	s.records = append(s.records, fakeRecord{seq(n), "k" + strconv.Itoa(n), []byte(strings.Repeat("x", bytes)), time.Now()})
}

// do changes the fake between two calls.
func (f *fake) do(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// fail has the next calls of an operation answered so; the zero answer is the usual one.
func (f *fake) fail(op string, as ...awsstub.Answer) {
	f.do(func() { f.faults[op] = append(f.faults[op], as...) })
}

func (f *fake) client() *kinesis.Client { return kinesis.NewFromConfig(f.Config()) }

func (f *fake) source(cfg *kinesissource.Config) *kinesissource.Source {
	return kinesissource.New(f.client(), "orders", cfg)
}

func (f *fake) find(id string) *fakeShard {
	for _, s := range f.shards {
		if s.id == id {
			return s
		}
	}
	return nil
}

var notFound = awsstub.Fail(400, "ResourceNotFoundException")

func (f *fake) answer(c awsstub.Call) awsstub.Answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	if faults := f.faults[c.Op]; len(faults) > 0 {
		f.faults[c.Op] = faults[1:]
		if faults[0] != (awsstub.Answer{}) {
			return faults[0]
		}
	}
	if f.status == "" {
		return notFound
	}
	switch c.Op {
	case "DescribeStreamSummary":
		return awsstub.OK(map[string]any{"StreamDescriptionSummary": map[string]any{
			"StreamARN": arn, "StreamName": "orders", "StreamStatus": f.status, "RetentionPeriodHours": 48,
			"StreamCreationTimestamp": float64(f.created.UnixMilli()) / 1000, "OpenShardCount": 1, "RecordDistributionStrategy": f.mode,
		}})
	case "ListShards":
		return f.list(c)
	case "GetShardIterator":
		return f.iterator(c)
	case "GetRecords":
		return f.records(c)
	}
	return awsstub.Fail(400, "UnknownOperationException")
}

func (f *fake) list(c awsstub.Call) awsstub.Answer {
	from, token := 0, c.Text("NextToken")
	if token != "" {
		if c.Text("StreamName") != "" || c.Text("StreamARN") != "" {
			return awsstub.Fail(400, "InvalidArgumentException")
		}
		from, _ = strconv.Atoi(token)
	}
	until := len(f.shards)
	if f.page > 0 {
		until = min(until, from+f.page)
	}
	out := map[string]any{}
	var listed []any
	for _, s := range f.shards[from:until] {
		r := map[string]any{"StartingSequenceNumber": seq(0)}
		if s.closed {
			r["EndingSequenceNumber"] = "9223372036854775807"
		}
		shard := map[string]any{"ShardId": s.id, "SequenceNumberRange": r}
		if s.parent != "" {
			shard["ParentShardId"] = s.parent
		}
		if s.adjacent != "" {
			shard["AdjacentParentShardId"] = s.adjacent
		}
		listed = append(listed, shard)
	}
	out["Shards"] = listed
	if until < len(f.shards) {
		out["NextToken"] = strconv.Itoa(until)
	}
	return awsstub.OK(out)
}

// iterator names the shard, the index of the next record and its own number.
func (f *fake) iterator(c awsstub.Call) awsstub.Answer {
	s := f.find(c.Text("ShardId"))
	if s == nil {
		return notFound
	}
	i, wanted := 0, c.Text("StartingSequenceNumber")
	lost := f.lookFor && wanted != ""
	for ; i < len(s.records); i++ {
		r := s.records[i]
		lost = lost && r.seq != wanted
		switch c.Text("ShardIteratorType") {
		case "AFTER_SEQUENCE_NUMBER":
			if r.seq <= wanted {
				continue
			}
		case "AT_SEQUENCE_NUMBER":
			if r.seq < wanted {
				continue
			}
		case "AT_TIMESTAMP":
			if float64(r.arrived.UnixMilli())/1000 < c.Number("Timestamp") {
				continue
			}
		case "LATEST":
			continue
		}
		break
	}
	if lost {
		return notFound
	}
	return awsstub.OK(map[string]any{"ShardIterator": f.mint(s.id, i)})
}

func (f *fake) mint(id string, i int) string {
	f.opened++
	return fmt.Sprintf("%s/%d/%d", id, i, f.opened)
}

func (f *fake) records(c awsstub.Call) awsstub.Answer {
	parts := strings.Split(c.Text("ShardIterator"), "/")
	if len(parts) != 3 {
		return awsstub.Fail(400, "InvalidArgumentException")
	}
	i, _ := strconv.Atoi(parts[1])
	number, _ := strconv.Atoi(parts[2])
	if number <= f.expire {
		return awsstub.Fail(400, "ExpiredIteratorException")
	}
	s := f.find(parts[0])
	if s == nil {
		return notFound
	}
	until := min(len(s.records), i+int(c.Number("Limit")))
	var out []any
	for _, r := range s.records[i:until] {
		rec := map[string]any{
			"SequenceNumber": r.seq, "Data": base64.StdEncoding.EncodeToString(r.data),
			"ApproximateArrivalTimestamp": float64(r.arrived.UnixMilli()) / 1000,
		}
		if r.key != "" {
			rec["PartitionKey"] = r.key
		}
		out = append(out, rec)
	}
	answer := map[string]any{"Records": out, "MillisBehindLatest": f.behind}
	switch {
	case !s.closed || until < len(s.records):
		answer["NextShardIterator"] = f.mint(s.id, until)
	case !f.mute:
		var children []any
		for _, id := range s.children {
			child := f.find(id)
			parents := []string{child.parent}
			if child.adjacent != "" {
				parents = append(parents, child.adjacent)
			}
			children = append(children, map[string]any{"ShardId": id, "ParentShards": parents,
				"HashKeyRange": map[string]any{"StartingHashKey": "0", "EndingHashKey": "1"}})
		}
		answer["ChildShards"] = children
	}
	return awsstub.OK(answer)
}

var errConnection = errors.New("connection reset by peer")
