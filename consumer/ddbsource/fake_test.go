package ddbsource_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"

	"github.com/runnelhq/runnel/consumer/ddbsource"
	"github.com/runnelhq/runnel/internal/awsstub"
)

const (
	arn    = "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-11-22T06:49:52.364"
	oldARN = "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2025-01-01T00:00:00.000"
)

// fake is a table with one stream, kept in memory and in the clock of the test.
type fake struct {
	*awsstub.Service

	mu       sync.Mutex
	table    bool
	latest   string // the stream of the table, "": it never had one
	arn      string // the stream that is held, "": none
	status   string
	shards   []*fakeShard
	page     int    // shards a page of DescribeStream; 0: all
	filter   string // what it does with a filter: "works", "ignored", "nothing"
	minutes  bool   // no AT_TIMESTAMP, and times of records cut to the minute
	horizon  int    // records up to this one are trimmed
	opened   int    // iterators given out
	expire   int    // iterators up to this one have expired
	faults   map[string][]awsstub.Answer
	lateness int // so many listings do not show the children yet
}

type fakeShard struct {
	id, parent string
	closed     bool
	records    []fakeRecord
}

type fakeRecord struct {
	n       int
	created time.Time
	record  map[string]any
}

func newFake(shards ...*fakeShard) *fake {
	f := &fake{table: true, latest: arn, arn: arn, status: "ENABLED", filter: "works", shards: shards, faults: map[string][]awsstub.Answer{}}
	f.Service = &awsstub.Service{Answer: f.answer}
	return f
}

func shardID(n int) string { return fmt.Sprintf("shardId-%020d-%08x", n, n) }

// seq is a sequence number of 21 digits, with leading zeros as some endpoints have them.
func seq(n int) string { return fmt.Sprintf("%021d", n) }

// numbered is the sequence numbers of the records from to until.
func numbered(from, until int) (places []string) {
	for i := from; i <= until; i++ {
		places = append(places, seq(i))
	}
	return places
}

// holding is a shard with records 1 to n.
func holding(id string, n int) *fakeShard {
	s := &fakeShard{id: id}
	for i := 1; i <= n; i++ {
		s.put(i)
	}
	return s
}

func (s *fakeShard) put(n int) {
	s.records = append(s.records, fakeRecord{n: n, created: time.Now(), record: map[string]any{
		"eventID": strconv.Itoa(n), "eventName": "INSERT", "eventSource": "aws:dynamodb",
		"dynamodb": map[string]any{
			"Keys":     map[string]any{"id": map[string]any{"S": "item-" + strconv.Itoa(n)}},
			"NewImage": map[string]any{"id": map[string]any{"S": "item-" + strconv.Itoa(n)}, "total": map[string]any{"N": "1.50"}},
		},
	}})
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

func (f *fake) source(cfg *ddbsource.Config) *ddbsource.Source {
	return ddbsource.New(dynamodb.NewFromConfig(f.Config()), dynamodbstreams.NewFromConfig(f.Config()), "orders", cfg)
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
	if c.Op == "DescribeTable" {
		if !f.table {
			return notFound
		}
		table := map[string]any{"TableName": "orders"}
		if f.latest != "" {
			table["LatestStreamArn"] = f.latest
		}
		return awsstub.OK(map[string]any{"Table": table})
	}
	if c.Op != "GetRecords" && (f.arn == "" || c.Text("StreamArn") != f.arn) {
		return notFound
	}
	switch c.Op {
	case "DescribeStream":
		return f.describe(c)
	case "GetShardIterator":
		return f.iterator(c)
	case "GetRecords":
		return f.records(c)
	}
	return awsstub.Fail(400, "UnknownOperationException")
}

func (f *fake) describe(c awsstub.Call) awsstub.Answer {
	var all []*fakeShard
	filter, _ := c.In["ShardFilter"].(map[string]any)
	for _, s := range f.shards {
		switch {
		case filter != nil && f.filter == "nothing", filter != nil && f.filter == "works" && s.parent != filter["ShardId"]:
		case s.parent != "" && f.lateness > 0:
		default:
			all = append(all, s)
		}
	}
	from := 0
	for i, s := range all {
		if s.id == c.Text("ExclusiveStartShardId") {
			from = i + 1
		}
	}
	until, limit := len(all), int(c.Number("Limit"))
	if f.page > 0 && (limit == 0 || limit > f.page) {
		limit = f.page
	}
	if limit > 0 {
		until = min(until, from+limit)
	}
	var listed []any
	for _, s := range all[from:until] {
		r := map[string]any{"StartingSequenceNumber": seq(0)}
		if s.closed {
			r["EndingSequenceNumber"] = seq(9)
		}
		shard := map[string]any{"ShardId": s.id, "SequenceNumberRange": r}
		if s.parent != "" {
			shard["ParentShardId"] = s.parent
		}
		listed = append(listed, shard)
	}
	d := map[string]any{"StreamArn": f.arn, "StreamStatus": f.status, "TableName": "orders", "Shards": listed}
	if until < len(all) {
		d["LastEvaluatedShardId"] = all[until-1].id
	} else if limit != 1 && filter == nil && f.lateness > 0 {
		f.lateness--
	}
	return awsstub.OK(map[string]any{"StreamDescription": d})
}

// iterator names the shard, the index of the next record and its own number.
func (f *fake) iterator(c awsstub.Call) awsstub.Answer {
	s := f.find(c.Text("ShardId"))
	kind := c.Text("ShardIteratorType")
	if kind == "AT_TIMESTAMP" && f.minutes {
		return awsstub.Fail(500, "InternalFailure")
	}
	if kind == "AT_TIMESTAMP" && c.Number("Timestamp") > float64(time.Now().Unix()) {
		return awsstub.Fail(400, "ValidationException")
	}
	if s == nil {
		return notFound
	}
	wanted := c.Text("SequenceNumber")
	if wanted != "" && wanted < seq(f.horizon) {
		return awsstub.Fail(400, "TrimmedDataAccessException")
	}
	i := 0
	for ; i < len(s.records); i++ {
		r := s.records[i]
		if r.n <= f.horizon || kind == "LATEST" || kind == "AFTER_SEQUENCE_NUMBER" && seq(r.n) <= wanted ||
			kind == "AT_SEQUENCE_NUMBER" && seq(r.n) < wanted ||
			kind == "AT_TIMESTAMP" && float64(r.created.Unix()) < c.Number("Timestamp") {
			continue
		}
		break
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
		return awsstub.Fail(400, "ValidationException")
	}
	i, _ := strconv.Atoi(parts[1])
	number, _ := strconv.Atoi(parts[2])
	s := f.find(parts[0])
	switch {
	case number <= f.expire:
		return awsstub.Fail(400, "ExpiredIteratorException")
	case s == nil:
		return notFound
	case i < len(s.records) && s.records[i].n <= f.horizon:
		return awsstub.Fail(400, "TrimmedDataAccessException")
	}
	until := min(len(s.records), i+int(c.Number("Limit")))
	var out []any
	for _, r := range s.records[i:until] {
		created := r.created.Truncate(time.Second)
		if f.minutes {
			created = r.created.Truncate(time.Minute)
		}
		d := r.record["dynamodb"].(map[string]any)
		d["SequenceNumber"], d["ApproximateCreationDateTime"] = seq(r.n), created.Unix()
		out = append(out, r.record)
	}
	answer := map[string]any{"Records": out}
	if !s.closed || until < len(s.records) {
		answer["NextShardIterator"] = f.mint(s.id, until)
	}
	return awsstub.OK(answer)
}
