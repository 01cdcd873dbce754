package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
)

// The two streams that the endpoint has. Both have the shards of the load.
const (
	warmUp = "warm-up" // some calls a shard
	whole  = "whole"
)

const (
	kinesisAPI = "kinesis"
	streamsAPI = "streams"
)

// load is what an endpoint gives, and its readers get.
type load struct {
	API    string
	Size   int // bytes of data of a record; not used with DynamoDB
	Page   int // the most records of an answer
	Shards int
	Calls  int // that it takes to read a shard in full pages
}

// perShard is how many records a shard of a stream has.
func (l load) perShard(stream string) int {
	if stream == warmUp {
		return min(l.Calls, 2) * l.Page
	}
	return l.Calls * l.Page
}

func (l load) records(stream string) int64 { return int64(l.Shards) * int64(l.perShard(stream)) }

func (l load) shard(n int) string {
	if l.API == streamsAPI {
		return fmt.Sprintf("shardId-00000001763800000000-%08x", n)
	}
	return fmt.Sprintf("shardId-%012d", n)
}

// encoded are the records of a shard as the service writes them, with commas between: an answer is a slice of them.
type encoded struct {
	text  []byte
	ends  []int // of each record in text
	begin int64 // the first record's time
}

// of is the records from, up to and without to.
func (e *encoded) of(from, to int) []byte {
	if from == to {
		return nil
	}
	at := 0
	if from > 0 {
		at = e.ends[from-1] + 1
	}
	return e.text[at:e.ends[to-1]]
}

// encode writes the records of a shard. They are the same in every run.
func (l load) encode() *encoded {
	e := &encoded{begin: 1763800000}
	rnd := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for i := range l.perShard(whole) {
		if i > 0 {
			b.WriteByte(',')
		}
		at := float64(e.begin) + float64(i)/1000
		if l.API == streamsAPI {
			change(&b, rnd, i, at)
		} else {
			datum(&b, rnd, i, at, l.Size)
		}
		e.ends = append(e.ends, b.Len())
	}
	e.text = b.Bytes()
	return e
}

// datum is a record of Kinesis.
func datum(b *bytes.Buffer, rnd *rand.Rand, i int, at float64, size int) {
	data := make([]byte, size)
	for j := range data {
		data[j] = byte(rnd.Uint32())
	}
	fmt.Fprintf(b, `{"SequenceNumber":"4966%052d","ApproximateArrivalTimestamp":%.3f,"Data":%q,"PartitionKey":"customer-%07d"}`,
		i, at, base64.StdEncoding.EncodeToString(data), rnd.IntN(1e7))
}

// change is a record of DynamoDB Streams: a MODIFY of an item of ten attributes, with the item before and after it.
func change(b *bytes.Buffer, rnd *rand.Rand, i int, at float64) {
	id := rnd.IntN(1e7)
	fmt.Fprintf(b, `{"eventID":"%032x","eventName":"MODIFY","eventVersion":"1.1","eventSource":"aws:dynamodb","awsRegion":"us-east-1",`+
		`"dynamodb":{"ApproximateCreationDateTime":%.0f,"Keys":{"id":{"S":"customer-%07d"}},"NewImage":`, rnd.Uint64(), at, id)
	item(b, rnd, id)
	b.WriteString(`,"OldImage":`)
	item(b, rnd, id)
	fmt.Fprintf(b, `,"SequenceNumber":"1%024d","SizeBytes":620,"StreamViewType":"NEW_AND_OLD_IMAGES"}}`, i)
}

func item(b *bytes.Buffer, rnd *rand.Rand, id int) {
	fmt.Fprintf(b, `{"id":{"S":"customer-%07d"},"name":{"S":"Name %016x"},"email":{"S":"%012x@example.com"},"city":{"S":"City %08x"},`+
		`"street":{"S":"Street %012x"},"age":{"N":"%d"},"balance":{"N":"%d.%02d"},"visits":{"N":"%d"},"active":{"BOOL":%t},"updated":{"S":"2026-11-%02dT10:00:00Z"}}`,
		id, rnd.Uint64(), rnd.Uint64()>>16, rnd.Uint32(), rnd.Uint64()>>16, rnd.IntN(99), rnd.IntN(1e6), rnd.IntN(100), rnd.IntN(1e6), rnd.IntN(2) == 0, 1+rnd.IntN(30))
}
