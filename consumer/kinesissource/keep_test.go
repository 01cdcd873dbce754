package kinesissource_test

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runnelhq/runnel/checkpoint"
	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/kinesissource"
	"github.com/runnelhq/runnel/internal/readtest"
)

// Who keeps one record of an answer must not keep the others without knowing.
func TestWhatIsKeptOfARecordHoldsNoOther(t *testing.T) {
	for name, keep := range map[string]func(consumer.Record) any{
		"the SDK's": func(r consumer.Record) any {
			sdk, _ := kinesissource.SDK(r)
			return sdk
		},
		"a clone without Raw": func(r consumer.Record) any {
			r = r.Clone()
			r.Raw = nil
			return r
		},
	} {
		t.Run(name, func(t *testing.T) {
			const records = 20
			sh := &fakeShard{id: shardID(0)}
			for i := range records {
				sh.put(i+1, 4<<10)
			}
			r := open(t, newFake(sh), checkpoint.Start{})
			p := readtest.Next(t, r, consumer.Want{})
			if len(p.Records) != records {
				t.Fatalf("%d records", len(p.Records))
			}
			var gone atomic.Int32
			for i := range p.Records[1:] {
				runtime.AddCleanup(&p.Records[1+i].Data[0], func(int) { gone.Add(1) }, 0)
			}
			kept := keep(p.Records[0])
			p.Release()
			for deadline := time.Now().Add(5 * time.Second); gone.Load() < records-1; runtime.GC() {
				if time.Now().After(deadline) {
					t.Fatalf("%d of the %d other records were collected", gone.Load(), records-1)
				}
			}
			runtime.KeepAlive(kept)
		})
	}
}
