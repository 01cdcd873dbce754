package main

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnelhq/runnel/consumer"
	"github.com/runnelhq/runnel/consumer/memsource"
)

// All ways to read a source in memory read all of it.
func TestReadMemory(t *testing.T) {
	const records = 2500
	sources := map[string]func() consumer.Source{
		"prepared": func() consumer.Source { return prepare(records, 1000) },
		"memsource": func() consumer.Source {
			s := memsource.New("bench", nil)
			for range records {
				if _, _, err := s.Put("key", []byte("data")); err != nil {
					t.Fatal(err)
				}
			}
			return s
		},
	}
	readers := map[string]func(context.Context, consumer.Source, int64) (int64, error){
		"alone": readAlone, "each": drain, "batches": drainBatches,
	}
	for source, open := range sources {
		for side, read := range readers {
			t.Run(source+"/"+side, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					if n, err := read(t.Context(), open(), records); n != records || err != nil {
						t.Errorf("%d records of %d: %v", n, records, err)
					}
				})
			})
		}
	}
}

// The time that is watched begins when every shard has its worker and has settled.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		u, err := idle(t.Context(), task{Shards: 5, Seconds: 20})
		if err != nil {
			t.Fatal(err)
		}
		if u.Wall != 20 || time.Since(begun) < 20*time.Second+settling {
			t.Errorf("watched for %v s of %v", u.Wall, time.Since(begun))
		}
		if u.Rest <= 0 || u.Peak < u.Rest {
			t.Errorf("%d bytes at the end, %d at most", u.Rest, u.Peak)
		}
	})
}

// The framework's share is what is left without the source's.
func TestOwnShare(t *testing.T) {
	round := strings.Join([]string{
		"goos: linux",
		"BenchmarkMemory/source=memsource/side=source-2 \t 100 \t 9 ns/op \t 390 cpu-ns/record",
		"BenchmarkMemory/source=memsource/side=each-2 \t 100 \t 9 ns/op \t 500 cpu-ns/record",
		"BenchmarkMemory/source=memsource/side=batches-2 \t 100 \t 9 ns/op \t 410 cpu-ns/record",
		"BenchmarkMemory/source=prepared/side=source-2 \t 100 \t 9 ns/op \t 3 cpu-ns/record",
		"BenchmarkMemory/source=prepared/side=each-2 \t 100 \t 9 ns/op \t 103 cpu-ns/record",
		"BenchmarkMemory/source=prepared/side=batches-2 \t 100 \t 9 ns/op \t 33 cpu-ns/record",
	}, "\n")
	var out bytes.Buffer
	if err := ownShare(&report{out: &out}, []byte(round)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"side=each-2", "memsource/side=own-each 1\t110 cpu", "memsource/side=own-batches 1\t20 cpu", "prepared/side=own-each 1\t100 cpu"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	if err := ownShare(&report{out: &out}, []byte("BenchmarkMemory/source=memsource/side=source-2 100 9 ns/op")); err == nil {
		t.Error("a round without the framework's figures passes")
	}
}

func TestBusiest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a ages
		a.read("before it begins")
		a.begin()
		for i := range 10 {
			a.read("steady")
			if i < 2 {
				a.read("other")
			}
			pauseFor(t, 400*time.Millisecond)
		}
		a.end()
		a.read("steady")
		if all, second := a.busiest(); all != 10 || second != 3 {
			t.Errorf("%d reads and %d in a second, want 10 and 3", all, second)
		}
	})
}

func pauseFor(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal(context.Cause(t.Context()))
	}
}

func TestQuantiles(t *testing.T) {
	var took []time.Duration
	for i := range 101 {
		took = append(took, time.Duration(100-i))
	}
	want := []metric{{50, "p50-ns"}, {95, "p95-ns"}, {99, "p99-ns"}, {100, "max-ns"}}
	if got := quantiles(took); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := median([]float64{3, 1, 2, 10}); got != 2.5 {
		t.Errorf("the median is %v", got)
	}
}

func TestPerMinute(t *testing.T) {
	got := perMinute(map[string]int64{"PutItem": 4, "DeleteItem": 2, "Query": 3, "BatchGetItem": 5, "CreateTable": 0}, 2*time.Minute)
	want := []metric{{3, "writes/min"}, {4, "reads/min"}, {2.5, "BatchGetItem/min"}, {1, "DeleteItem/min"}, {2, "PutItem/min"}, {1.5, "Query/min"}}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
