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

// raw is what a record of this source carries.
type raw struct{ record types.Record }

// SDK is the record as the AWS SDK gave it, and false for a record of another source. Its Data is the record's own and borrowed as that is.
func SDK(r consumer.Record) (types.Record, bool) {
	held, ok := r.Raw.(*raw)
	if !ok {
		return types.Record{}, false
	}
	return held.record, true
}

func (sh *shard) record(r *types.Record) (consumer.Record, error) {
	p, err := checkpoint.Sequence(aws.ToString(r.SequenceNumber))
	if err != nil {
		return consumer.Record{}, fmt.Errorf("a record's sequence number: %w", err)
	}
	return consumer.Record{
		Stream:   sh.incarnation,
		Shard:    sh.id,
		Key:      aws.ToString(r.PartitionKey),
		Position: p,
		Arrived:  aws.ToTime(r.ApproximateArrivalTimestamp),
		Data:     r.Data,
		Raw:      &raw{record: *r},
	}, nil
}

func sizeOf(r *types.Record) int64 {
	return overhead + int64(len(r.Data)+len(aws.ToString(r.PartitionKey))+len(aws.ToString(r.SequenceNumber)))
}
