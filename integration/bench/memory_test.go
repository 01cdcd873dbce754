package main

import (
	"context"
	"runtime"
	"testing"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/memsource"
)

// BenchmarkMemory is what the framework costs a record on one shard, with leases in memory and the default strategy. side=source is what the source costs
// without it; source=memsource makes each page when it is asked for and copies its data, source=prepared fills pages that it has back.
func BenchmarkMemory(b *testing.B) {
	// One core does it all, so that what others wait for is counted too.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	open := map[string]func(b *testing.B) consumer.Source{
		"memsource": inMemory,
		"prepared":  func(b *testing.B) consumer.Source { return prepare(b.N, 1000) },
	}
	read := map[string]func(context.Context, consumer.Source, int64) (int64, error){
		"source":  readAlone,
		"each":    drain,
		"batches": drainBatches,
	}
	for _, source := range memorySources {
		for _, side := range memorySides {
			b.Run("source="+source+"/side="+side, func(b *testing.B) {
				s := open[source](b)
				runtime.GC()
				b.ReportAllocs()
				before, _, err := processorTime()
				if err != nil {
					b.Fatal(err)
				}
				b.ResetTimer()
				n, err := read[side](b.Context(), s, int64(b.N))
				b.StopTimer()
				if err != nil {
					b.Fatal(err)
				}
				if n != int64(b.N) {
					b.Fatalf("%d records came of %d", n, b.N)
				}
				after, _, err := processorTime()
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64((after-before).Nanoseconds())/float64(b.N), cpuUnit)
			})
		}
	}
}

// inMemory is a stream in memory with b.N records of 100 bytes in one shard.
func inMemory(b *testing.B) consumer.Source {
	b.Helper()
	s := memsource.New("bench", nil)
	data := make([]byte, 100)
	for range b.N {
		if _, _, err := s.Put("key", data); err != nil {
			b.Fatal(err)
		}
	}
	return s
}
