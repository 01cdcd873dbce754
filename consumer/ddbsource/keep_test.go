package ddbsource_test

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/ddbsource"
	"github.com/runnelhq/runnel/internal/readtest"
)

// Who keeps what the SDK gave for one record must not keep the other records of the answer.
func TestWhatSDKGivesHoldsNoOtherRecord(t *testing.T) {
	const records = 20
	r := open(t, newFake(holding(shardID(0), records)), checkpoint.Start{})
	p := readtest.Next(t, r, consumer.Want{})
	if len(p.Records) != records {
		t.Fatalf("%d records", len(p.Records))
	}
	kept, _ := ddbsource.SDK(p.Records[0])
	var gone atomic.Int32
	for _, r := range p.Records[1:] {
		other, _ := ddbsource.SDK(r)
		runtime.AddCleanup(other.Dynamodb, func(int) { gone.Add(1) }, 0)
	}
	p.Release()
	for deadline := time.Now().Add(5 * time.Second); gone.Load() < records-1; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatalf("%d of the %d other records were collected", gone.Load(), records-1)
		}
	}
	runtime.KeepAlive(kept)
}
