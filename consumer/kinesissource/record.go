package kinesissource

import (
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
)

// overhead is what a record holds in memory besides its data, key and sequence number, about: the two structs and their pointers.
const overhead = 400

// raw is what a record of this source carries. It is part of the answer, so who holds it holds all records of that.
type raw types.Record

// SDK is the record as the AWS SDK gave it, and false for a record of another source. Its Data is the record's own and borrowed as that is; the rest may be kept.
// It holds nothing of other records, while Record.Raw, also a clone's, holds all of the answer that the record came in: up to 10,000 records and 10 MiB.
func SDK(r consumer.Record) (types.Record, bool) {
	held, ok := r.Raw.(*raw)
	if !ok {
		return types.Record{}, false
	}
	return types.Record(*held), true
}

// fill makes a record of what the service gave.
func (sh *shard) fill(to *consumer.Record, r *types.Record) (err error) {
	if to.Position, err = checkpoint.Sequence(aws.ToString(r.SequenceNumber)); err != nil {
		return fmt.Errorf("a record's sequence number: %w", err)
	}
	to.Stream, to.Shard, to.Key = sh.incarnation, sh.id, aws.ToString(r.PartitionKey)
	to.Arrived = aws.ToTime(r.ApproximateArrivalTimestamp)
	to.Data, to.Raw = r.Data, (*raw)(r)
	return nil
}

func sizeOf(r *types.Record) int64 {
	return overhead + int64(len(r.Data)+len(aws.ToString(r.PartitionKey))+len(aws.ToString(r.SequenceNumber)))
}
